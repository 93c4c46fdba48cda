"""What the values of settings may be: for each kind of value its check, and the rule in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from app import addresses

Check = Callable[[Any], bool]


def checked(default: object, check: Check, rule: str, shown: bool = True) -> Any:
    return field(default=default, repr=shown, metadata={"check": check, "rule": rule})


def between(low: int, high: int, default: int) -> Any:
    return checked(default, lambda v: low <= v <= high, f"a whole number from {low} to {high}")


def one_of(*allowed: object, default: object) -> Any:
    return checked(default, lambda v: v in allowed, "one of " + ", ".join(map(str, allowed)))


def url(*schemes: str, default: str) -> Any:
    starts = " or ".join(f"{scheme}://" for scheme in schemes)
    rule = f"a URL that starts with {starts} and names where it leads"
    check = partial(_is_url, schemes=schemes)
    metadata = {"check": check, "rule": rule, "why": addresses.trouble}
    return field(default=default, repr=False, metadata=metadata)


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    """Whether it is a URL of these, or empty."""
    urls = addresses.each_host(value) if value else []
    return not addresses.trouble(value) and all(_is_one(url, schemes) for url in urls)


def _is_one(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        return (
            value.isprintable()
            and parts.scheme in schemes
            and (parts.port is None or parts.port > 0)
            and _leads_somewhere(parts)
        )
    except ValueError:
        return False


def _leads_somewhere(parts: SplitResult) -> bool:
    if parts.scheme == "sqlite":
        # In memory, each connection would have a database of its own.
        return len(parts.path) > 1 and ":memory:" not in parts.path
    if "@" in parts.path:
        return False  # part of a password that is not percent-encoded; it would be logged
    if parts.scheme in ("http", "https"):
        return bool(parts.hostname) and not parts.query and not parts.fragment
    return bool(parts.hostname) if parts.scheme in ("redis", "rediss") else len(parts.path) > 1


def origins(default: str) -> Any:
    rule = "* or origins such as https://app.example.com, separated by commas"
    return checked(default, lambda v: all(map(_ORIGIN.fullmatch, listed(v))), rule)


def listed(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]


# As browsers name them: no path, and no port that is the scheme's own.
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def directory(default: str) -> Any:
    rule = "a directory that exists or can be made"
    return checked(default, lambda v: not v or is_directory(v), rule)


def is_directory(path: str) -> bool:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        return True
    except OSError:
        return False


def text_file() -> Any:
    rule = "a file of UTF-8 text that can be read"
    return checked("", lambda v: not v or _is_text(v), rule)


def _is_text(path: str) -> bool:
    try:
        Path(path).read_text(encoding="utf-8-sig")
        return True
    except (OSError, ValueError):  # a directory, other bytes, a path with NUL
        return False


def words(most: int) -> Any:
    rule = f"at most {most} printable characters"
    return checked("", lambda v: len(v) <= most and v.isprintable(), rule)


PICTURES = (".svg", ".png", ".webp", ".jpg", ".jpeg", ".gif")


def picture(most_bytes: int) -> Any:
    rule = f"a file of at most {most_bytes // 1024} KiB that ends with {', '.join(PICTURES)}"
    return checked("", lambda v: not v or _is_picture(v, most_bytes), rule)


def _is_picture(path: str, most_bytes: int) -> bool:
    try:
        is_small = 0 < len(Path(path).read_bytes()) <= most_bytes
        return is_small and Path(path).suffix.lower() in PICTURES
    except (OSError, ValueError):  # a directory, a path with NUL
        return False


def contact() -> Any:
    rule = "an e-mail address, or a URL that starts with https:// or mailto:"
    return checked("", lambda v: not v or _CONTACT.fullmatch(v) is not None, rule)


def as_uri(address: str) -> str:
    """A contact as a URI; nothing stays nothing."""
    return f"mailto:{address}" if address and ":" not in address else address


_CONTACT = re.compile(r"https://[!-~]+|(?:mailto:)?[^@\s:/?#]+@[A-Za-z0-9.-]+")
REFERRER_POLICIES = (
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
)

"""Settings: the one place that reads the environment, checks every value and says at once all that is wrong."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit


class ConfigError(Exception):
    """Some settings cannot be used; the text names every one of them."""


def _between(low: int, high: int, default: int) -> Any:
    return field(default=default, metadata={"check": lambda v: low <= v <= high, "rule": f"a whole number from {low} to {high}"})


def _one_of(*allowed: object, default: object) -> Any:
    rule = "one of " + ", ".join(str(value) for value in allowed)
    return field(default=default, metadata={"check": lambda v: v in allowed, "rule": rule})


def _url(*schemes: str, default: str) -> Any:
    rule = "a URL that starts with " + " or ".join(f"{scheme}://" for scheme in schemes)
    return field(default=default, repr=False, metadata={"check": lambda v: not v or _is_url(v, schemes), "rule": rule})


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting with its default; its environment variable is the field's name in capitals."""

    database_url: str = _url("sqlite", "postgresql", "postgresql+pool", default="sqlite:///var/holdfast.db")
    redis_url: str = _url("redis", "rediss", "unix", default="")
    base_url: str = _url("http", "https", default="")
    app_host: str = "127.0.0.1"
    app_port: int = _between(1, 65535, 8000)
    web_workers: int = _between(1, 64, 1)
    web_threads: int = _between(1, 256, 8)
    trusted_proxies: int = _between(0, 10, 0)
    auto_seed: bool = False
    cache_ttl_seconds: int = _between(1, 30 * 86400, 3600)
    deactivated_status: int = _one_of(404, 410, default=410)
    chaos_token: str = field(default="", repr=False)
    instance: str = field(default_factory=socket.gethostname)
    log_file: str = "var/holdfast.log"
    log_level: str = _one_of("DEBUG", "INFO", "WARNING", "ERROR", default="INFO")
    log_max_bytes: int = _between(10_000, 10**12, 10_000_000)
    prometheus_multiproc_dir: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings that `environ` asks for; raises ConfigError with one line for each value that cannot be used."""
        problems: list[str] = []
        given = _fold_reference_names(_with_secret_files(environ, problems))
        values = {f.name: _parse(f.name, f.type, given[f.name.upper()], problems) for f in fields(cls) if given.get(f.name.upper())}
        for f in fields(cls):
            if f.name in values and "check" in f.metadata and values[f.name] is not None and not f.metadata["check"](values[f.name]):
                problems.append(f"{f.name.upper()} must be {f.metadata['rule']}")
        if problems:
            raise ConfigError("\n".join(problems))
        return cls(**values)


def _with_secret_files(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """NAME_FILE names a file that holds the value of NAME: how containers are given secrets."""
    given = dict(environ)
    for name in _readable_names():
        path = environ.get(f"{name}_FILE")
        if path:
            try:
                given[name] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                problems.append(f"{name}_FILE names {path}, which cannot be read")
    return given


def _readable_names() -> list[str]:
    names = [f.name.upper() for f in fields(Settings) if f.name != "log_file"]
    return [*names, "DATABASE_PASSWORD"]


def _fold_reference_names(given: dict[str, str]) -> dict[str, str]:
    """DATABASE_NAME/HOST/PORT/USER/PASSWORD and REDIS_HOST/PORT are what older deployments set instead of the URLs."""
    if not given.get("DATABASE_URL") and (given.get("DATABASE_HOST") or given.get("DATABASE_NAME")):
        part = {name: given.get(f"DATABASE_{name}", default) for name, default in _POSTGRES_DEFAULTS.items()}
        login = f"{quote(part['USER'], safe='')}:{quote(part['PASSWORD'], safe='')}"
        given["DATABASE_URL"] = f"postgresql+pool://{login}@{part['HOST']}:{part['PORT']}/{part['NAME']}"
    if not given.get("REDIS_URL") and given.get("REDIS_HOST"):
        given["REDIS_URL"] = f"redis://{given['REDIS_HOST']}:{given.get('REDIS_PORT') or 6379}/0"
    return given


_POSTGRES_DEFAULTS = {"NAME": "holdfast", "HOST": "localhost", "PORT": "5432", "USER": "postgres", "PASSWORD": "postgres"}
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def _parse(name: str, kind: Any, text: str, problems: list[str]) -> Any:
    if kind == "int":
        if text.strip().lstrip("-").isascii() and text.strip().lstrip("-").isdigit():
            return int(text)
        problems.append(f"{name.upper()} must be a whole number, not {text!r}")
        return None
    if kind == "bool":
        if text.strip().lower() not in _BOOLEANS:
            problems.append(f"{name.upper()} must be true or false, not {text!r}")
        return _BOOLEANS.get(text.strip().lower())
    return text.strip()

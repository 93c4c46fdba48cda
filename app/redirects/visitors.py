"""Says of a visitor: a person or a robot, with which browser, from which site and campaign."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

OTHER = "other"
LONGEST_VALUE = 100
_CACHED = 20_000
CAMPAIGN = "utm_source="
_PREFETCHES = ("prefetch", "preview")
# Beside the list: what looks whether a service is there.
_MONITORS = ("kube-probe", "Prometheus")


class Kind(NamedTuple):
    """What is counted of a click; the texts have at most 100 characters.

    What is not known is empty, and so is the referrer of who came directly: most clicks have some
    of these, and they need not be stored.
    """

    robot: bool
    browser: str
    system: str
    device: str
    referrer: str
    campaign: str


NOBODY = Kind(False, "", "", "", "", "")
_AGENT = '", "user_agent": '


def kind_of(visitor: str, original_url: str) -> Kind:
    """The kind of a click; `visitor` is the JSON object that the stream holds of it.

    What follows the address there is cached as it is: reading it takes ten times as long.
    """
    _, found, rest = visitor.partition(_AGENT)  # inside of a value the quotes would be escaped
    if not found:
        return kind_of_details(visitor, original_url)
    return _kind_of_rest(rest, original_url if CAMPAIGN in original_url else "")


@lru_cache(_CACHED)
def _kind_of_rest(rest: str, original_url: str) -> Kind:
    return kind_of_details(f'{{"user_agent": {rest}', original_url)


def kind_of_details(text: str, original_url: str = "") -> Kind:
    """The same for the details of any event, whatever clients have put into them."""
    details = _object(text)
    own = printable(_text(details, "campaign"), "")
    agent = details.get("user_agent")
    kind = Kind(
        *_agent(agent if isinstance(agent, str) else None),
        _site(_text(details, "referrer")),
        own or _campaign_of(original_url or _text(details, "original_url")),
    )
    is_robot = _text(details, "purpose").startswith(_PREFETCHES) or details.get("robot") is True
    kind = kind._replace(robot=True) if is_robot else kind
    if details.get("private") is True:  # its agent is not kept: it could not be told again
        return kind._replace(browser="private", system="private", device="private")
    return kind


def _object(text: str) -> dict[str, Any]:
    try:
        details = json.loads(text)
    except (ValueError, RecursionError):
        details = None
    return details if isinstance(details, dict) else {}


def _text(details: dict[str, Any], name: str) -> str:
    value = details.get(name)
    return value if isinstance(value, str) else ""


def printable(text: str, otherwise: str = OTHER) -> str:
    """A value as it is stored."""
    return "".join(filter(str.isprintable, text))[:LONGEST_VALUE].strip() or otherwise


@lru_cache(_CACHED)
def _campaign_of(url: str) -> str:
    if CAMPAIGN not in url:
        return ""
    try:
        found = parse_qs(urlsplit(url).query, max_num_fields=1000).get("utm_source")
    except ValueError:
        found = None
    return printable(found[0], "") if found else ""


def _site(referrer: str) -> str:
    """The referring host."""
    try:
        host = urlsplit(referrer).hostname
    except ValueError:
        host = None
    return printable(host) if host else OTHER if referrer else ""


@lru_cache(_CACHED)
def _agent(text: str | None) -> tuple[bool, str, str, str]:
    """Robot, browser, system and device. An agent that is empty is a robot's; None is nobody's."""
    if text is None:
        return False, "", "", ""
    agent = text.strip()
    robot = robots().search(agent)
    if robot or not agent:
        name = printable(robot[0].strip(" /;(")) if robot else ""
        return True, name, "", ""
    if "(" not in agent:  # an application, such as okhttp/4.9: a tenth of the time
        return False, printable(re.split("[/ ]", agent)[0]), "", ""
    return False, *_parsed(agent)


def _parsed(agent: str) -> tuple[str, str, str]:
    found = _parser()(agent)
    system = printable(found.os.family, "") if found.os else ""
    device = found.device.family if found.device else "PC" if system in _OF_PCS else ""
    browser = found.user_agent.family if found.user_agent else ""
    return printable(browser, ""), system, printable(device, "")


_OF_PCS = {"Windows", "Linux", "Ubuntu", "Fedora", "Debian", "Chrome OS", "FreeBSD"}


@cache
def _parser() -> Callable[[str], Any]:
    """Imported with the first agent: 10 MiB that a process which stores no clicks does without."""
    matchers = import_module("ua_parser_builtins.lazy").MATCHERS
    resolve = import_module("ua_parser.basic").Resolver(matchers)
    every = import_module("ua_parser").Domain.ALL
    resolve("", every)  # compiles all patterns
    gc.freeze()  # else each collection walks through them: 3 of a drained click's 15 us
    return lambda agent: resolve(agent, every)


@cache
def robots() -> re.Pattern[str]:
    """One pattern for the whole list, in groups by the first letter: 30 instead of 560 us."""
    listed = import_module("crawleruseragents").CRAWLER_USER_AGENTS_DATA
    patterns = (*(each["pattern"] for each in listed), *_MONITORS)
    gc.freeze()
    return re.compile("|".join(_grouped(patterns)))


_PLAIN = re.compile(r"(\w)(?![?*+{])([^|]*)")


def _grouped(patterns: Iterable[str]) -> Iterable[str]:
    groups: dict[str, list[str]] = {}
    for pattern in patterns:
        if found := _PLAIN.fullmatch(pattern):
            groups.setdefault(found[1], []).append(found[2])
        else:
            yield pattern
    for letter, rests in groups.items():
        yield f"{letter}(?:{'|'.join(rests)})"

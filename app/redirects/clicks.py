"""A click as text: what the front records in Redis' stream, and how the drain reads it back."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from json.encoder import encode_basestring_ascii as quoted

from app.redirects.links import ACTIVE, Link, parse_link
from app.redirects.visits import PRIVATE, addresses, stored

log = logging.getLogger(__name__)

CANARY = "ca"
"""How the ids of a canary's clicks begin, and no others: the drain counts them."""

_ids: list[Iterator[str]] = []
_tracks = ["stable"]


def bind(track: str) -> None:
    """This process records clicks as one of `track`, stable or canary."""
    _tracks[:] = [track]
    _renew_ids()


def _renew_ids() -> None:
    """Click ids are unique over all processes, forked ones too: a random name and a number."""
    name = CANARY + secrets.token_hex(5)
    while _tracks[0] != "canary" and name.startswith(CANARY):
        name = secrets.token_hex(6)
    _ids[:] = [map((name + "{:x}").format, itertools.count())]


_renew_ids()
os.register_at_fork(after_in_child=_renew_ids)


class Outcome(Enum):
    """What became of a click; app/redirects/recording.py has the table."""

    NOT_RECORDED = "not recorded"
    RECORDED = "recorded"
    UNKNOWN = "unknown"


def visitor(ip: str, user_agent: str, referrer: str, extras: str = "") -> str:
    """Who followed a link, as a JSON object; long values are cut. `extras`: app/redirects/visits.

    A private visitor's address goes nowhere; its agent is needed until the click is counted.
    """
    address = addresses.quoted("" if extras and PRIVATE in extras else ip)
    user_agent, referrer = quoted(user_agent[:300]), quoted(referrer[:500])
    return f'{{"ip": {address}, "user_agent": {user_agent}, "referrer": {referrer}{extras}}}'


@dataclass(slots=True)
class Click:
    """One request to follow `short_code`. `asked`: Redis has answered, `link` is what it holds."""

    short_code: str
    visitor: str
    id: str = field(default_factory=lambda: next(_ids[0]))
    ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    link: Link | None = None
    outcome: Outcome = Outcome.NOT_RECORDED
    asked: bool = False
    attempt: str = ""  # what a trusted proxy calls the request and its repeat

    def line(self) -> str:
        """Its part of a stream entry; the cached link follows. One field is cheaper than many."""
        return f"{self.id} {self.ms} {self.short_code} {self.visitor}\n"

    def learn(self, held: bytes | None) -> None:
        """Takes the answer of follow.lua, which has recorded the click on an active link."""
        self.asked, self.link = True, parse_link(held)
        if self.link and self.link.state == ACTIVE:
            self.outcome = Outcome.RECORDED

    def details(self) -> str:
        """The event's details, one JSON object, put together by hand: it is done for each click."""
        code, url = quoted(self.short_code), quoted(self.link.original_url if self.link else "")
        return f'{{"short_code": {code}, "original_url": {url}, {stored(self.visitor)[1:]}'


CLICK_ID = re.compile(r"[0-9a-f]{12}(0|[1-9a-f][0-9a-f]{0,14})")
_TEXT = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-f]{4})[^"\\\x00-\x1f]*)*"'
_EXTRAS = (
    rf'(?:, "purpose": "(?:prefetch|preview)")?(?:, "campaign": {_TEXT})?(?:, "private": true)?'
)
_VISITOR = re.compile(rf'\{{"ip": {_TEXT}, "user_agent": {_TEXT}, "referrer": {_TEXT}{_EXTRAS}\}}')
_LATEST_MS = 250_000_000_000_000  # in the year 9892


def parse_click(raw: tuple[bytes, Sequence[bytes]]) -> Click | None:
    """The click of a stream entry; None, and a line in the log, for an entry that is no click."""
    try:
        line, held = raw[1][1].split(b"\n", 1)
        click_id, ms, short_code, who = line.decode().split(" ", 3)
        click = Click(short_code, load_visitor(who), click_id, int(ms))
        click.learn(held)
        sane = CLICK_ID.fullmatch(click_id) and 0 <= click.ms < _LATEST_MS
        if sane and click.outcome is Outcome.RECORDED and raw[1][0] == b"click":
            return click
    except (ValueError, RecursionError):
        pass
    log.error("the stream holds an entry that is no click: %.500r", raw)
    return None


def load_visitor(text: str) -> str:
    """`text`, if it is a JSON object with something in it; raises ValueError."""
    if _VISITOR.fullmatch(text):
        return text
    given = json.loads(text)
    if not isinstance(given, dict) or not given:
        raise ValueError("no visitor")
    return json.dumps(given)

"""Writes clicks into the database, rows and counters alike, and each once: whoever comes second, its sender or the stream, finds it claimed."""

from __future__ import annotations

import json
import logging
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, reduce
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple

from app import bulk, database
from app.cache import ACTIVE, Link
from app.database import db, now
from app.models import ClickClaim, Event, Fact, Url
from app.unavailable import LockedTooLong

log = logging.getLogger(__name__)

_SENDER_MAY_STILL_COME = timedelta(
    minutes=10
)  # a server whose request takes longer than a minute is killed
_STREAM_MAY_STILL_COME = timedelta(days=30)  # a Redis that was away may come back with what it had

_LOCK_TRIES = 4
_SENDER_LENGTH = 12
CLICK_ID = re.compile(r"[0-9a-f]{12}(0|[1-9a-f][0-9a-f]{0,14})")


class Entry(NamedTuple):
    """A click as it is written down. Its id is its sender, and the hexadecimal number that the sender counted up to."""

    id: str
    ms: int
    short_code: str
    visitor: str
    link: Link

    def details(self) -> str:
        """The event's details, one JSON object; put together by hand, because that is done for every click."""
        return f'{{"short_code": {quoted(self.short_code)}, "original_url": {quoted(self.link.original_url)}, {self.visitor[1:]}'


_TEXT = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-f]{4})[^"\\\x00-\x1f]*)*"'
_VISITOR = re.compile(rf'\{{"ip": {_TEXT}, "user_agent": {_TEXT}, "referrer": {_TEXT}\}}')


def load_visitor(text: str) -> str:
    """The JSON object `text`, seen to be one with something in it; raises ValueError."""
    if _VISITOR.fullmatch(text):
        return text
    given = json.loads(text)
    if not isinstance(given, dict) or not given:
        raise ValueError("no visitor")
    return json.dumps(given)


def parse(raw: tuple[bytes, Sequence[bytes]]) -> Entry | None:
    """A stream entry as a click; a thing that we cannot have written is logged, so that it cannot stop the others."""
    try:
        line, link = raw[1][1].split(b"\n", 1)
        click_id, ms, short_code, visitor = line.decode().split(" ", 3)
        entry = Entry(click_id, int(ms), short_code, load_visitor(visitor), _active(link))
        if CLICK_ID.fullmatch(click_id) and 0 <= entry.ms < _LATEST_MS and raw[1][0] == b"click":
            return entry
    except (ValueError, RecursionError):
        pass
    log.error("the stream holds an entry that is no click: %.500r", raw)
    return None


_LATEST_MS = 250_000_000_000_000  # in the year 9892


def _active(entry: bytes) -> Link:
    link = Link.parse(entry)
    if link is None or link.state != ACTIVE:
        raise ValueError("no active link")
    return link


@lru_cache(maxsize=1000)
def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def store(entries: Sequence[Entry]) -> None:
    """Writes a batch of the stream within the transaction that holds the lock `drain`; clicks on links that are gone for good go with them."""
    by_id = {entry.id: entry for entry in entries}
    mine = [by_id[click_id] for click_id in by_id.keys() - _claimed(by_id)]
    mine.sort(key=lambda entry: entry.ms)
    owners = _count(Counter(entry.link.url_id for entry in mine))
    rows = (
        (
            entry.link.url_id,
            owners[entry.link.url_id],
            "clicked",
            _moment(entry.ms // 1000),
            entry.details(),
        )
        for entry in mine
        if entry.link.url_id in owners
    )
    database.trust_references()  # the counters' update holds the links, and with them their owners
    bulk.insert("events", ("url_id", "user_id", "event_type", "timestamp", "details"), rows)
    _claim([entry.id for entry in mine], _SENDER_MAY_STILL_COME)


def write(entry: Entry, unsure: bool) -> None:
    """Writes one click at once; an unsure one only when the stream has not brought it, and never will.

    While a disk is slow another click on the same link may hold its row for long: that is waited for
    several times, because nobody else can take this click.
    """
    for _ in range(_LOCK_TRIES - 1):
        try:
            return _write(entry, unsure)
        except LockedTooLong:
            continue
    return _write(entry, unsure)


def _write(entry: Entry, unsure: bool) -> None:
    with db.atomic():
        if unsure and not _claim_alone(entry.id):
            return
        owners = _count(Counter((entry.link.url_id,)))
        if entry.link.url_id in owners:
            Event.insert(
                url=entry.link.url_id,
                user=owners[entry.link.url_id],
                event_type="clicked",
                details=entry.details(),
            ).execute()


def void(click_id: str, ms: int, short_code: str, visitor: str) -> None:
    """Sees to it that a click whose request was refused after all is not counted: the stream never brings it, or what it brought is taken back."""
    with db.atomic():
        if not _claim_alone(click_id):
            _take_back(short_code, _moment(ms // 1000), visitor)


def _take_back(short_code: str, moment: datetime, visitor: str) -> None:
    """Deletes one event of this moment that says the same of the link's visitor; if there are several, they differ by nothing but their ids."""
    url: Any = Url.get_or_none(Url.short_code == short_code)
    alike = (Event.url == url) & (Event.event_type == "clicked") & (Event.timestamp == moment)
    for event in Event.select().where(alike) if url else ():
        if event.details.endswith(visitor[1:]):
            Event.delete().where(Event.id == event.id).execute()
            Url.update(click_count=Url.click_count - 1).where(Url.id == url.id).execute()
            return


def _count(clicks_of: Counter[int]) -> dict[int, int | None]:
    """Adds to the counters of links; returns the owner of each link that still exists."""
    if not clicks_of:
        return {}
    pairs = ", ".join(f"({url_id}, {count})" for url_id, count in sorted(clicks_of.items()))
    rows = db.execute_sql(
        f"WITH more (id, clicks) AS (VALUES {pairs}) UPDATE urls SET click_count = click_count + more.clicks "  # noqa: S608 - integers
        "FROM more WHERE urls.id = more.id RETURNING urls.id, urls.user_id"
    )
    return dict(rows.fetchall())


# ---- claims: one row for each sender in a batch, so that they cost next to nothing ----


def _claim_alone(click_id: str) -> bool:
    """Claims an id for its sender; False when the stream was faster. A drain that runs at this moment is waited for."""
    database.take_turn("drain")
    if click_id in _claimed([click_id]):
        return False
    _claim([click_id], _STREAM_MAY_STILL_COME)
    return True


def _claim(ids: Iterable[str], keep: timedelta) -> None:
    rows = [
        {
            "sender": sender,
            "lowest": numbers[0],
            "highest": numbers[-1],
            "numbers": json.dumps(numbers),
            "forget_at": now() + keep,
        }
        for sender, numbers in _by_sender(ids).items()
    ]
    if rows:
        ClickClaim.insert_many(rows).execute()


def _claimed(ids: Iterable[str]) -> set[str]:
    """Those of `ids` that are in the database already."""
    overlapping = [
        (ClickClaim.sender == sender)
        & (ClickClaim.highest >= numbers[0])
        & (ClickClaim.lowest <= numbers[-1])
        for sender, numbers in _by_sender(ids).items()
    ]
    if not overlapping:
        return set()
    claims = ClickClaim.select(ClickClaim.sender, ClickClaim.numbers).where(
        reduce(operator.or_, overlapping)
    )
    return {f"{claim.sender}{number:x}" for claim in claims for number in json.loads(claim.numbers)}


def _by_sender(ids: Iterable[str]) -> dict[str, list[int]]:
    numbers = defaultdict(list)
    for click_id in ids:
        numbers[click_id[:_SENDER_LENGTH]].append(int(click_id[_SENDER_LENGTH:], 16))
    return {sender: sorted(of_sender) for sender, of_sender in numbers.items()}


def forget_claims() -> int:
    """Drops the claims that can no longer matter."""
    return int(ClickClaim.delete().where(ClickClaim.forget_at < now()).execute())


# ---- how far the stream has been read ----


Position = dict[str, Any]


def position() -> Position:
    """The stream's epoch, the last id that was read of it, and how many entries were read ever."""
    fact = Fact.get_or_none(Fact.name == "clicks")
    return json.loads(fact.value) if fact else {"epoch": "", "last": "0-0", "drained": 0}


def keep_position(reached: Position) -> None:
    value = json.dumps(reached)
    Fact.insert(name="clicks", value=value).on_conflict(
        conflict_target=[Fact.name], update={Fact.value: value}
    ).execute()

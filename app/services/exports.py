"""Exports live links as a configuration of Nginx (deploy/fail-static.conf)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from app import database
from app.database import db, now, released, without_timeouts
from app.models import Url
from app.redirects.bans import bans
from app.schemas import location
from app.services import tables

_BATCH = 1000
_OUTAGE = timedelta(days=1)
_LONGEST = 3500
"""Nginx reads no parameter of more than 4,096 bytes."""

# A map has no other way to write a dollar sign.
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "${dollar}"})

_HEAD = """# Links that worked when this was written, for deploy/fail-static.conf.
# Keys of a map ignore case: codes that differ only in case share a key, as
# `code=address code=address`, and fail-static.conf picks the right one.
map "/$code" $candidates {
"""


class LinksFile:
    """The lines of the file; `count` is how many links they hold."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[str] = []

    def lines(self) -> Iterator[str]:
        with released(), without_timeouts(), db.atomic(database.dialect().snapshot):
            alike: dict[str, list[str]] = {key: [] for key in _shared_keys()}
            yield _HEAD
            for url in _live_urls():
                key = url.short_code.lower()
                candidate = f"{url.short_code}={location(url.original_url)}"
                self.count += 1
                if key in alike:
                    alike[key].append(candidate)
                else:
                    yield self._line(key, candidate)
            for key, candidates in alike.items():
                yield self._line(key, " ".join(candidates))
            yield "}\n"
            yield from self._parts

    def _line(self, key: str, value: str) -> str:
        return f'  "/{key}" "{self._escaped(value)}";\n'

    def _escaped(self, value: str) -> str:
        """`value` as Nginx reads it back; a long one is joined from variables with its parts."""
        whole = value.translate(_ESCAPES)
        pieces = [whole] if len(whole) <= _LONGEST else [c.translate(_ESCAPES) for c in value]
        while sum(map(len, pieces)) > _LONGEST:
            pieces = [self._part(text) for text in _joined(pieces)]
        return "".join(pieces)

    def _part(self, text: str) -> str:
        name = f"part_{len(self._parts)}"
        self._parts.append(f'map "" ${name} {{ default "{text}"; }}\n')
        return f"${{{name}}}"


def _joined(pieces: list[str]) -> Iterator[str]:
    """The pieces together, as many as go into one parameter."""
    text = ""
    for piece in pieces:
        if len(text) + len(piece) > _LONGEST:
            yield text
            text = ""
        text += piece
    yield text


def _live() -> tables.Conditions:
    """Links that still work in a day, when the file may still be used; Nginx counts no limit."""
    return {
        "is_active": (),
        "deleted_at IS NULL": (),
        "max_clicks IS NULL": (),
        "(expires_at IS NULL OR expires_at > ?)": (now() + _OUTAGE,),
    }


def _shared_keys() -> list[str]:
    """The keys that several live codes share."""
    rows = tables.select("lower(short_code)", Url, _live(), "GROUP BY 1 HAVING count(*) > 1")
    return [key for (key,) in rows.fetchall()]


def _live_urls() -> Iterator[Any]:
    last = 0
    while True:
        order = f"ORDER BY id LIMIT {_BATCH}"
        batch = tables.read(Url, {**_live(), "id > ?": (last,)}, order)
        yield from (url for url in batch if not bans.covers(url.original_url))
        if len(batch) < _BATCH:
            return
        last = batch[-1].id

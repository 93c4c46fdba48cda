"""Writes all live links down as a configuration of Nginx, which then serves them without the application (deploy/fail-static.conf)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app import database
from app.database import db, patience, released
from app.models import Url
from app.schemas import location

_BATCH = 1000
_LONGEST = 3500
"""Nginx reads no parameter of more than 4,096 bytes."""

_ESCAPES = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "$": "${dollar}"}
)  # there is no other way to write a dollar sign in a map

_HEAD = """# Links that worked when this was written, for deploy/fail-static.conf. A map knows no upper and lower case: codes that
# differ in nothing else are under one key, as `code=address code=address`, and fail-static.conf picks the right one.
map "/$code" $candidates {
"""


class LinksFile:
    """The lines of the file; `count` is how many links they hold."""

    def __init__(self) -> None:
        self.count = 0
        self._parts: list[str] = []

    def lines(self) -> Iterator[str]:
        with released(), patience(), db.atomic(database.dialect().snapshot):
            alike: dict[str, list[str]] = {key: [] for key in _shared_keys()}
            yield _HEAD
            for url in _live_urls():
                key, candidate = (
                    url.short_code.lower(),
                    f"{url.short_code}={location(url.original_url)}",
                )
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
        """As Nginx reads it back; what is too long for it is put together of variables that hold the parts."""
        pieces = (
            [character.translate(_ESCAPES) for character in value]
            if len(value.translate(_ESCAPES)) > _LONGEST
            else [value.translate(_ESCAPES)]
        )
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


def _live(*columns: Any) -> Any:
    return Url.select(*columns).where(Url.is_active, Url.deleted_at.is_null())


def _shared_keys() -> list[str]:
    """What several live codes are without their upper case."""
    rows = db.execute_sql(
        "SELECT lower(short_code) FROM urls WHERE is_active AND deleted_at IS NULL GROUP BY 1 HAVING count(*) > 1"
    )
    return [key for (key,) in rows.fetchall()]


def _live_urls() -> Iterator[Any]:
    last = 0
    while True:
        batch = list(
            _live(Url.id, Url.short_code, Url.original_url)
            .where(Url.id > last)
            .order_by(Url.id)
            .limit(_BATCH)
        )
        yield from batch
        if len(batch) < _BATCH:
            return
        last = batch[-1].id

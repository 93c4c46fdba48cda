"""Reads a file of another system's links, CSV or JSON, as rows with our columns."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import IO, Any

from app.errors import InvalidInput
from app.imports.columns import URLS
from app.imports.objects import Objects
from app.imports.reader import Batch, CsvFile
from app.imports.report import LONGEST_VALUE, bad_row, in_order
from app.imports.sources import SECRETS, TABLES

_ROWS, _CHARACTERS = 500, 2**18  # of a batch of objects
_LONGEST_LINK = 2**16
# Bad rows cost as much as good ones, and a file can have 20 times as many: `[1,1,1,`.
_MOST_BAD, _MOST_BAD_PER_GOOD = 10_000, 9
_NO = ("", "false", "0", "no", "null")


class ForeignFile:
    """A file of links; `columns` are those of ours that it has."""

    def __init__(self, stream: IO[bytes], name: str, lenient: bool, source: str) -> None:
        """`source`: a key of TABLES. Raises InvalidInput when it is no such file."""
        self.name = name
        self._source, self._fields = source, TABLES[source]
        known = {field.name for several in self._fields.values() for field in several} | {*SECRETS}
        buffered = io.BufferedReader(stream)  # type: ignore[type-var]  # reads bytes
        if buffered.peek(100).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
            objects = Objects(buffered, name)
            self._file: object = objects  # else it would be closed by its last batch
            self._batches = _batches_of_objects(objects, known)
            self.columns = list(self._fields)
        else:
            file = CsvFile(buffered, name, lenient, known)
            self._file = file
            names = [_plain(column) for column in file.columns]
            self._batches = _batches_of_rows(file, names)
            self.columns = [
                column
                for column, fields in self._fields.items()
                if any(field.name in names for field in fields)
            ]
        self._require_columns()

    def _require_columns(self) -> None:
        missing = sorted(URLS.required() - set(self.columns))
        if missing:
            why = " and ".join(f"{name} ({self._names_of(name)})" for name in missing)
            message = f"{self.name} is no export of {self._source}: it has no column for {why}"
            raise InvalidInput(message, errors=dict.fromkeys(missing, "is required"))

    def _names_of(self, column: str) -> str:
        return " or ".join(field.name for field in self._fields[column])

    def batches(self) -> Iterator[Batch]:
        """Raises InvalidInput when most of very many rows are bad, as in a file of something else.

        The caller adds the rows that it refuses to a batch's bad ones.
        """
        rows, bad, first = 0, 0, None
        for batch in self._read_batches():
            rows += len(batch.lines) + len(batch.bad)
            yield batch
            bad += len(batch.bad)
            first = first or (batch.bad and bad_row(min(batch.bad, key=in_order)))
            if first and bad > _MOST_BAD + _MOST_BAD_PER_GOOD * (rows - bad):
                why = f"{bad:,} of its first {rows:,} rows are bad"
                errors = {f"line {first.line}": first.reason}
                raise InvalidInput(f"{self.name} is no export of {self._source}: {why}", errors)

    def _read_batches(self) -> Iterator[Batch]:
        for lines, found, bad in self._batches:
            batch = Batch([], [], bad)
            for line, values in zip(lines, found, strict=True):
                if any(values.get(name, "").lower() not in _NO for name in SECRETS):
                    bad.append((line, "", "asks for a password, which links here cannot", ""))
                else:
                    batch.lines.append(line)
                    batch.rows.append([self._value(column, values) for column in self.columns])
            yield batch

    def _value(self, column: str, values: Mapping[str, str]) -> str:
        for field in self._fields[column]:
            if text := values.get(field.name, ""):
                return field.read(text)
        return ""


_Found = tuple[list[int], list[dict[str, str]], list[Any]]


def _batches_of_rows(file: CsvFile, names: Sequence[str]) -> Iterator[_Found]:
    for lines, rows, bad in file.batches():
        yield lines, [dict(zip(names, fields, strict=False)) for fields in rows], bad


def _batches_of_objects(objects: Objects, known: Container[str]) -> Iterator[_Found]:
    lines: list[int] = []
    found: list[dict[str, str]] = []
    bad: list[Any] = []
    size = 0
    for line, value, text in objects.items():
        if fault := _fault(value, text):
            bad.append((line, "", fault, text[:LONGEST_VALUE]))
        else:
            lines.append(line)
            found.append(dict(_texts(value, known)))
        size += len(text)
        if len(lines) + len(bad) >= _ROWS or size >= _CHARACTERS:
            yield lines, found, bad
            lines, found, bad, size = [], [], [], 0
    yield lines, found, bad


def _fault(value: Any, text: str) -> str:
    """Why an item cannot be a link, if so."""
    if not isinstance(value, dict):
        return "must be a JSON object"
    if len(text) > _LONGEST_LINK:
        return f"is longer than {_LONGEST_LINK:,} characters"
    return ""


def _texts(
    value: Mapping[str, Any], known: Container[str], prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """The known values of an object, and of objects in it, as a CSV file would hold them."""
    for name, part in value.items():
        plain = prefix + _plain(name)
        if isinstance(part, dict) and not prefix:
            yield from _texts(part, known, plain)
        elif plain in known:
            yield plain, _text(part)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


@lru_cache(1000)
def _plain(name: str) -> str:
    """A name without case and punctuation: `Long URL`, `long_url` and `longUrl` are the same."""
    return _PUNCTUATION.sub("", name.lower())


_PUNCTUATION = re.compile("[^a-z0-9]")

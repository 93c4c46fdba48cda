"""Reads a file of another system's links, CSV or JSON, as rows with our columns."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from app.errors import InvalidInput
from app.imports.columns import URLS
from app.imports.objects import Objects
from app.imports.reader import Batch, CsvFile
from app.imports.sources import SECRETS, TABLES, Fields

_ROWS = 500
_NO = ("", "false", "0", "no", "null")


class ForeignFile:
    """A file of links; `columns` are those of ours that it has."""

    def __init__(self, stream: IO[bytes], name: str, lenient: bool, source: str) -> None:
        """`source`: a key of TABLES. Raises InvalidInput when it is no such file."""
        self.name = name
        self._fields = TABLES[source]
        buffered = io.BufferedReader(stream)  # type: ignore[type-var]  # reads bytes
        if buffered.peek(100).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
            objects = Objects(buffered, name)
            self._file: object = objects  # else it would be closed by its last batch
            self._batches = _batches_of_objects(objects)
            self.columns = list(self._fields)
        else:
            file = CsvFile(buffered, name, lenient, _raw_names(self._fields))
            self._file = file
            names = [_plain(column) for column in file.columns]
            self._batches = _batches_of_rows(file, names)
            self.columns = [
                column
                for column, fields in self._fields.items()
                if any(field.name in names for field in fields)
            ]
        self._require_columns(source)

    def _require_columns(self, source: str) -> None:
        missing = sorted(URLS.required() - set(self.columns))
        if missing:
            why = " and ".join(f"{name} ({self._names_of(name)})" for name in missing)
            message = f"{self.name} is no export of {source}: it has no column for {why}"
            raise InvalidInput(message, errors=dict.fromkeys(missing, "is required"))

    def _names_of(self, column: str) -> str:
        return " or ".join(field.name for field in self._fields[column])

    def batches(self) -> Iterator[Batch]:
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


def _batches_of_objects(objects: Objects) -> Iterator[_Found]:
    lines: list[int] = []
    found: list[dict[str, str]] = []
    bad: list[Any] = []
    for line, value in objects.items():
        if isinstance(value, dict):
            lines.append(line)
            found.append(dict(_texts(value)))
        else:
            bad.append((line, "", "must be a JSON object", json.dumps(value)[:100]))
        if len(lines) + len(bad) >= _ROWS:
            yield lines, found, bad
            lines, found, bad = [], [], []
    yield lines, found, bad


def _texts(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The values of an object, and of objects in it, as a CSV file would hold them."""
    for name, part in value.items():
        if isinstance(part, dict) and not prefix:
            yield from _texts(part, _plain(name))
        else:
            yield prefix + _plain(name), _text(part)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _plain(name: str) -> str:
    """A name without case and punctuation: `Long URL`, `long_url` and `longUrl` are the same."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _raw_names(fields: Fields) -> set[str]:
    return {field.name for several in fields.values() for field in several}

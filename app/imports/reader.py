"""Reads any CSV that people really have: row after row with its line, however it was quoted, separated or encoded."""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import IO, Any

from app.errors import InvalidInput

_SEPARATORS = ",;\t"
_ADVICE = 'save it as "CSV UTF-8"'
_LONGEST_HEADER = 10_000
_LONGEST_ROW = 2**20  # a list of a row's fields takes up to 20 times as much memory as the row
_LONGEST_VALUE = 100
_BROKEN = re.compile("[\x00\udc80-\udcff]")
_NOTHING = re.compile(r'(?:[\s,;\ufeff]++|"")*+')
_SEP_LINE = re.compile(r'\ufeff?"?sep=(?P<sep>[^\w\s"]|\t)"?(?P=sep)*+\s*+', re.IGNORECASE)


class BadRow(ValueError):
    """A row that cannot be used: its line, why, and the wrong value, cut to 100 characters."""

    def __init__(self, reason: str, value: str = "", line: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.value, self.line = reason, value[:_LONGEST_VALUE], line


Row = tuple[int, list[str]]
"""The line on which a row begins, and its fields."""


class CsvFile:
    """A CSV file: its column names in lower case, and its rows, read once and never all at a time."""

    def __init__(self, stream: IO[bytes], name: str, spoilt: bool, known: Collection[str]) -> None:
        """`spoilt`: a row that is not UTF-8 is one bad row, else it makes the file unusable.

        The separator is the one that makes most `known` columns of the header.
        """
        errors = "surrogateescape" if spoilt else "strict"
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors=errors, newline="")
        self.name = name
        self._text = text  # which would close the stream if nobody held it
        self._skipped = 0  # lines before the header
        self._broken, self._size = False, 0  # of the row that is being read
        self._read_header(iter(partial(text.readline, _LONGEST_ROW), ""), known)

    # ---- the header ----

    def _read_header(self, lines: Iterator[str], known: Collection[str]) -> None:
        with self._readable():
            first, separator = self._first_line(lines)
            seen = [first.lstrip("\ufeff")]
            self._separator = separator or _likely_separator(seen, lines, known)
        padded = f'{self._separator} "' in seen[0]  # as in "a", "b"
        checked = self._checked(chain(seen, lines))
        self._reader: Any = csv.reader(checked, delimiter=self._separator, skipinitialspace=padded)
        try:
            self.columns = _names(next(self._reader))
        except csv.Error:
            raise InvalidInput(f"{self.name} is not a CSV file: its header does not end") from None
        if self._broken:
            raise InvalidInput(f"{self.name} is not a CSV file in UTF-8; {_ADVICE}")
        if self._size > _LONGEST_HEADER:
            raise InvalidInput(f"{self.name} is not a CSV file: its header is too long")

    def _first_line(self, lines: Iterator[str]) -> tuple[str, str]:
        """The line on which the header begins, and the separator of a line such as `sep=;`."""
        separator = ""
        for line in lines:
            given = None if separator else _SEP_LINE.fullmatch(line)
            if given:
                separator = given["sep"]
            elif not _NOTHING.fullmatch(line):
                return line, separator
            self._skipped += line.endswith(("\n", "\r"))
        raise InvalidInput(f"{self.name} is empty")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError:
            raise InvalidInput(f"{self.name} is not valid UTF-8; {_ADVICE}") from None
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise InvalidInput(f"{self.name} cannot be read: {reason}") from None

    # ---- the rows ----

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not blank, in order; one that cannot be read is a BadRow."""
        reader, width = self._reader, len(self.columns)
        while True:
            line = reader.line_num + self._skipped + 1
            self._broken, self._size = False, 0
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(f"is not readable as CSV: {error}", line=line)
                continue
            if self._broken or len(values) > width or self._size >= _LONGEST_ROW:
                yield from self._odd(line, values)
            elif values and (values[0].strip() or not _is_blank(values)):
                yield line, values

    def _checked(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines, noting what is wrong with the row that they belong to."""
        with self._readable():
            for line in lines:
                if not line.isascii() or "\x00" in line:
                    self._broken = self._broken or bool(_BROKEN.search(line))
                self._size += len(line)
                if self._size < _LONGEST_ROW:
                    yield line
                else:
                    yield from self._end_of_row(line, lines)

    def _end_of_row(self, line: str, lines: Iterator[str]) -> Iterator[str]:
        """In place of the rest of a line: ends the row, also within quotes."""
        while len(line) == _LONGEST_ROW and not line.endswith("\n"):
            line = next(lines, "")
        self._skipped += 1
        while self._size >= _LONGEST_ROW:
            self._skipped -= 1  # the reader counts it as a line
            yield '"\n'

    def _odd(self, line: int, values: list[str]) -> Iterator[Row | BadRow]:
        if self._size >= _LONGEST_ROW:
            yield BadRow(f"is longer than {_LONGEST_ROW:,} characters", line=line)
        elif self._broken:
            text = ascii(self._separator.join(values)[:_LONGEST_VALUE])[1:-1]
            yield BadRow("contains NUL or is not valid UTF-8", text, line)
        elif any(values[len(self.columns) :]):
            reason = f"has {len(values)} fields where the header has {len(self.columns)}"
            yield BadRow(reason, self._separator.join(values), line)
        elif not _is_blank(values):
            yield line, values

    def places(self, columns: Iterable[str]) -> list[int]:
        """Where each of `columns` stands in a row; -1 for one that the file does not have."""
        return [self.columns.index(name) if name in self.columns else -1 for name in columns]


def _is_blank(values: list[str]) -> bool:
    return not any(map(str.strip, values))


def _names(fields: list[str]) -> list[str]:
    return [field.strip("\ufeff").strip().lower() for field in fields]


def _likely_separator(seen: list[str], lines: Iterator[str], known: Collection[str]) -> str:
    """The one that makes most known columns, then most columns; adds what it reads to `seen`."""

    def columns(separator: str) -> tuple[int, int]:
        reader = csv.reader(_replayed(seen, lines), delimiter=separator, skipinitialspace=True)
        names = _names(next(reader, []))
        return len(set(names) & set(known)), len(names)

    return max(_SEPARATORS, key=columns)


def _replayed(seen: list[str], lines: Iterator[str]) -> Iterator[str]:
    """The lines of a header, which a quoted newline may continue, as far as a header may go."""
    size = 0
    for line in chain(list(seen), _noted(seen, lines)):
        size += len(line)
        if size > _LONGEST_HEADER:
            return
        yield line


def _noted(seen: list[str], lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        seen.append(line)
        yield line

"""Reads any CSV that people really have: row after row with its line, however it was quoted, separated or encoded."""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from app.errors import InvalidInput

_SEPARATORS = ",;\t"
_BROKEN = re.compile("[\x00\udc80-\udcff]")
_LONGEST_HEADER = 10_000


class BadRow(Exception):
    """A row that cannot be used: its line, why, and the value that is wrong."""

    def __init__(self, reason: str, value: str = "", line: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.value, self.line = reason, value, line


Row = tuple[int, list[str]]
"""The line on which a row begins, and its fields."""


class CsvFile:
    """A CSV file: its column names in lower case, and its rows, read once and never all at a time."""

    def __init__(self, stream: IO[bytes], name: str, broken_rows: bool) -> None:
        """`broken_rows`: a row that is not UTF-8 is one bad row; otherwise it makes the file unusable."""
        self.name = name
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape" if broken_rows else "strict", newline="")
        self._broken = False
        header = self._header()
        self._separator = max(_SEPARATORS, key=header.count)
        self.columns = [column.strip().lower() for column in next(csv.reader([header], delimiter=self._separator), [])]

    def _header(self) -> str:
        with self._readable():
            header = self._text.readline(_LONGEST_HEADER)
        if not header.strip():
            raise InvalidInput(f"{self.name} is empty")
        if len(header) == _LONGEST_HEADER or _BROKEN.search(header):
            raise InvalidInput(f"{self.name} is not a CSV file")
        return header

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError:
            raise InvalidInput(f"{self.name} is not valid UTF-8") from None
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidInput(f"{self.name} cannot be read: {getattr(error, 'strerror', None) or error}") from None

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not blank, in order; one that cannot be read is a BadRow."""
        reader = csv.reader(self._lines(), delimiter=self._separator)
        width = len(self.columns)
        while True:
            line = reader.line_num + 2  # the header is line 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._broken = False
                yield BadRow(f"is not readable as CSV: {error}", line=line)
                continue
            if self._broken or len(values) > width:
                yield self._odd(line, values)
            elif values:
                yield line, values

    def _lines(self) -> Iterator[str]:
        with self._readable():
            for line in self._text:
                if not line.isascii() or "\x00" in line:
                    self._broken = self._broken or bool(_BROKEN.search(line))
                yield line

    def _odd(self, line: int, values: list[str]) -> Row | BadRow:
        if self._broken:
            self._broken = False
            return BadRow("contains NUL or is not valid UTF-8", ascii(self._separator.join(values))[1:-1], line)
        if any(values[len(self.columns) :]):
            return BadRow(f"has {len(values)} fields where the header has {len(self.columns)}", self._separator.join(values), line)
        return line, values

    def places(self, columns: Iterable[str]) -> list[int]:
        """Where each of `columns` stands in a row; -1 for one that the file does not have."""
        return [self.columns.index(column) if column in self.columns else -1 for column in columns]

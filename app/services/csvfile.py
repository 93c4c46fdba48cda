"""Reads any CSV that people really have: row after row with its line, however it was quoted, separated or encoded."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import IO, NamedTuple

from app.errors import InvalidInput

_SEPARATORS = ",;\t"
_BROKEN = re.compile("[\x00\udc80-\udcff]")
_LONGEST_HEADER = 10_000


class BadRow(Exception):
    """A row that cannot be used: its line, why, and the value that is wrong."""

    def __init__(self, reason: str, value: str = "", line: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.value, self.line = reason, value, line


class Row(NamedTuple):
    line: int
    values: list[str]


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
        try:
            header = self._text.readline(_LONGEST_HEADER)
        except UnicodeDecodeError:
            raise self._not_utf8() from None
        if not header.strip():
            raise InvalidInput(f"{self.name} is empty")
        if len(header) == _LONGEST_HEADER or _BROKEN.search(header):
            raise InvalidInput(f"{self.name} is not a CSV file")
        return header

    def _not_utf8(self) -> InvalidInput:
        return InvalidInput(f"{self.name} is not valid UTF-8")

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row that is not blank, in order; one that cannot be read is a BadRow."""
        reader = csv.reader(self._lines(), delimiter=self._separator)
        while True:
            line = reader.line_num + 2  # the header is line 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(f"is not readable as CSV: {error}", line=line)
                continue
            except UnicodeDecodeError:
                raise self._not_utf8() from None
            if values:
                yield self._row(line, values)

    def _lines(self) -> Iterator[str]:
        for line in self._text:
            if not line.isascii() or "\x00" in line:
                self._broken = self._broken or bool(_BROKEN.search(line))
            yield line

    def _row(self, line: int, values: list[str]) -> Row | BadRow:
        if self._broken:
            self._broken = False
            return BadRow("contains NUL or is not valid UTF-8", line=line)
        if len(values) > len(self.columns) and any(values[len(self.columns) :]):
            return BadRow(f"has {len(values)} fields where the header has {len(self.columns)}", line=line)
        return Row(line, values)

    def places(self, columns: Iterable[str]) -> list[int]:
        """Where each of `columns` stands in a row; -1 for one that the file does not have."""
        return [self.columns.index(column) if column in self.columns else -1 for column in columns]

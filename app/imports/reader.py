"""Reads a CSV file as other programs write it: its columns, then row after row with its line."""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import IO, Any, NamedTuple

from app.errors import InvalidInput
from app.imports.report import LONGEST_VALUE, Refusal

_SEPARATORS = ",;\t"
_ADVICE = 'save it as "CSV UTF-8"'
_LONGEST_HEADER = 10_000
_LONGEST_ROW = 2**20  # a list of a row's fields takes up to 20 times as much memory as the row
_PIECE_CHARACTERS, _ROWS = 2**15, 500  # of a batch: with more, memory is slower
_BROKEN = re.compile("[\x00\udc80-\udcff]")
_NOTHING = re.compile(r'(?:[\s,;\ufeff]++|"")*')
_SEP_LINE = re.compile(r'\ufeff?"?sep=(?P<sep>[^\w\s"]|\t)"?(?P=sep)*\s*+', re.IGNORECASE)


class Batch(NamedTuple):
    """Rows: the line on which each begins, and its fields; and those that cannot be read."""

    lines: list[int]
    rows: list[list[str]]
    bad: list[Refusal]


class CsvFile:
    """A CSV file: `columns`, its column names in lower case; rows are read once, piece by piece."""

    def __init__(self, stream: IO[bytes], name: str, lenient: bool, known: Collection[str]) -> None:
        """`lenient`: bytes that are not UTF-8 make one bad row, else the file is refused.

        The separator is the one that makes most `known` columns of the header.
        Raises InvalidInput when the file has no usable header.
        """
        errors = "surrogateescape" if lenient else "strict"
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors=errors, newline="")
        self.name = name
        self._text = text  # closes the stream when it is garbage
        self._skipped = 0  # lines before the header
        self._piece = ""
        self._line = 0  # on which the row begins that is being read
        self._done = 0  # lines of the rows that have been read, as the reader counts them
        self._size = 0  # of the row that is being read: its lines in the pieces before
        self._broken = self._too_long = False
        self._read_header(iter(partial(text.readline, _LONGEST_ROW), ""), known)

    # ---- the header ----

    def _read_header(self, lines: Iterator[str], known: Collection[str]) -> None:
        with self._readable():
            first, separator = self._first_line(lines)
            seen = [first.lstrip("\ufeff")]
            self._separator = separator or _likely_separator(seen, lines, known)
        padded = f'{self._separator} "' in seen[0]  # as in "a", "b"
        checked = self._checked(seen)
        self._reader: Any = csv.reader(checked, delimiter=self._separator, skipinitialspace=padded)
        try:
            fields = next(self._reader)
        except csv.Error:
            raise InvalidInput(f"{self.name} is not a CSV file: its header does not end") from None
        if self._broken:
            raise InvalidInput(f"{self.name} is not a CSV file in UTF-8; {_ADVICE}")
        if self._too_long or sum(map(len, fields)) + len(fields) > _LONGEST_HEADER:
            raise InvalidInput(f"{self.name} is not a CSV file: its header is too long")
        self.columns = _names(fields)

    def _first_line(self, lines: Iterator[str]) -> tuple[str, str]:
        """The line on which the header begins, and the separator of a line such as `sep=;`."""
        separator = ""
        for line in lines:
            if not _NOTHING.fullmatch(line):
                given = None if separator else _SEP_LINE.fullmatch(line)
                if given is None:
                    return line, separator
                separator = given["sep"]
            self._skipped += len(line) < _LONGEST_ROW or line.endswith("\n")
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

    def batches(self) -> Iterator[Batch]:
        """The rows that are not blank, in order, about one piece of the file at a time."""
        more = True
        while more:
            batch = Batch([], [], [])
            self._end_row()
            try:
                more = self._read_piece(*batch)
            except csv.Error as error:
                batch.bad.append((self._line, "", f"is not readable as CSV: {error}", ""))
            yield batch

    def _read_piece(self, lines: list[int], rows: list[list[str]], bad: list[Refusal]) -> bool:
        """Reads rows up to the first of another piece; whether there may be more."""
        reader, width, piece = self._reader, len(self.columns), self._piece
        for fields in reader:
            is_odd = self._broken or self._too_long or len(fields) > width
            if is_odd and (fault := self._fault(fields)):
                bad.append((self._line, "", *fault))
                self._broken = self._too_long = False
            elif fields and (fields[0].strip() or not _is_blank(fields)):
                lines.append(self._line)
                rows.append(fields)
            self._done = done = reader.line_num
            self._line = done + self._skipped + 1
            if self._piece is not piece or len(lines) == _ROWS:
                return True
        return False

    def _end_row(self) -> None:
        self._broken = self._too_long = False
        self._done = self._reader.line_num
        self._line = self._done + self._skipped + 1

    def _pieces(self, first: list[str]) -> Iterator[str]:
        """Whole lines, about 32 Ki characters of them; of a line that is too long the beginning."""
        piece, rest = "".join(first), first[-1]
        while piece:
            while len(rest) == _LONGEST_ROW and not rest.endswith("\n"):
                rest = self._text.readline(_LONGEST_ROW)
            yield piece
            piece = self._text.read(_PIECE_CHARACTERS)
            rest = self._text.readline(_LONGEST_ROW)
            piece += rest

    def _checked(self, first: list[str]) -> Iterator[str]:
        """All lines, noting what is wrong with the row that they belong to."""
        with self._readable():
            for piece in self._pieces(first):
                self._piece = piece
                lines = io.StringIO(piece, newline="")
                if self._size + len(piece) < _LONGEST_ROW and not _is_broken(piece):
                    yield from lines  # a third of the time that looking at each line takes
                    self._size = self._rest_of_piece()
                else:
                    yield from self._checked_one_by_one(lines)

    def _rest_of_piece(self) -> int:
        """The size of the row that is being read, at the end of a piece."""
        count = self._reader.line_num - self._done
        lines = list(io.StringIO(self._piece, newline="")) if count else []
        return sum(map(len, lines[-count:])) + (self._size if count > len(lines) else 0)

    def _checked_one_by_one(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if self._done == self._reader.line_num:
                self._size = 0
            self._size += len(line)
            self._broken = self._broken or _is_broken(line)
            self._too_long = self._size >= _LONGEST_ROW
            if self._too_long:
                yield from self._end_of_row()
            else:
                yield line

    def _end_of_row(self) -> Iterator[str]:
        """Ends the row in place of the line that makes it too long, also within quotes."""
        self._skipped += 1
        while self._too_long:
            self._skipped -= 1  # the reader counts it as a line
            yield '"\n'

    def _fault(self, fields: list[str]) -> tuple[str, str] | None:
        """Why a row cannot be read and its text, if so."""
        width = len(self.columns)
        if self._too_long:
            return f"is longer than {_LONGEST_ROW:,} characters", ""
        text = self._separator.join(fields)[:LONGEST_VALUE]
        if self._broken:
            return "contains NUL or is not valid UTF-8", ascii(text)[1:-1]
        if any(fields[width:]):
            return f"has {len(fields)} fields where the header has {width}", text
        return None


def _is_broken(text: str) -> bool:
    return not (text.isascii() and "\x00" not in text) and bool(_BROKEN.search(text))


def _is_blank(fields: list[str]) -> bool:
    return not any(map(str.strip, fields))


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

"""Reads a list of JSON objects, as other systems' APIs answer them, one object at a time."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from app.errors import InvalidInput

_PIECE, _LONGEST_ITEM = 2**16, 2**20
_MOST_INSIDE = 20_000  # objects and lists of a long item, each of which takes up to 250 bytes
_LIST = re.compile(r'"data"\s*:\s*\[')
_NEXT_LIST = re.compile(_LIST.pattern + r"(?!\s*\])")  # a million empty ones cost nothing
_BETWEEN = re.compile(r"[\s,]*")
_decode = json.JSONDecoder().raw_decode


class Item(NamedTuple):
    """An item of the list, the line on which it begins, and its text."""

    line: int
    value: Any
    text: str


class Objects:
    """The items of a file that is a list, or that holds lists named `data`, as one per page."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        self._file = io.TextIOWrapper(stream, encoding="utf-8-sig")
        self._text, self._at, self._line = "", 0, 1

    def items(self) -> Iterator[Item]:
        """Raises InvalidInput where the file is not JSON, or an item is longer than 1 MiB."""
        self._read_more()
        self._go(self._skip())
        inside = self._text.startswith("[", self._at)
        self._go(self._at + inside)
        if not inside and not self._text.startswith("{", self._at):
            raise InvalidInput(f"{self.name} is not a JSON file")
        if not inside and not self._find_list():
            raise InvalidInput(f"{self.name} has no list named data")
        yield from self._items_of_list()
        while self._find_list(_NEXT_LIST):
            yield from self._items_of_list()

    def _items_of_list(self) -> Iterator[Item]:
        while True:
            self._go(self._skip())
            if self._at == len(self._text) and self._read_more():
                continue
            if self._text.startswith("]", self._at):
                self._go(self._at + 1)
                return
            value, end = self._item()
            yield Item(self._line, value, self._text[self._at : end])
            self._go(end)

    def _item(self) -> tuple[Any, int]:
        """The next item and its end; reads on while it seems to be cut off."""
        while True:
            try:
                return _decode(self._text, self._at)
            except (ValueError, RecursionError):
                if not self._read_more_of_item():
                    why = f"{self.name} is not valid JSON, or too large an item, on line"
                    raise InvalidInput(f"{why} {self._line}") from None

    def _read_more_of_item(self) -> bool:
        size = len(self._text) - self._at
        inside = sum(self._text.count(begin, self._at) for begin in "{[")
        more = min(max(_PIECE, size), _LONGEST_ITEM + 1 - size)
        return more > 0 and inside <= _MOST_INSIDE and self._read_more(more)

    def _find_list(self, pattern: re.Pattern[str] = _LIST) -> bool:
        while not (found := pattern.search(self._text, self._at)):
            self._go(max(self._at, len(self._text) - 100))
            if not self._read_more():
                return False
        self._go(found.end())
        return True

    def _skip(self) -> int:
        between = _BETWEEN.match(self._text, self._at)
        return between.end() if between else self._at

    def _go(self, place: int) -> None:
        self._line += self._text.count("\n", self._at, place)
        self._at = place

    def _read_more(self, size: int = _PIECE) -> bool:
        try:
            more = self._file.read(size)
        except (UnicodeDecodeError, OSError, EOFError) as error:
            raise InvalidInput(f"{self.name} cannot be read as UTF-8: {error}") from None
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)

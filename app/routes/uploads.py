"""Reads the one file of a multipart form, piece by piece, and keeps nothing else of the form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from app import limits
from app.errors import InvalidInput, TooLarge

_MOST_PARTS = 1000
_PIECE_BYTES = 65_536
_LONGEST_HEADERS = 4 * _PIECE_BYTES  # of a part, or what stands before the first one
_IN_MEMORY_BYTES = 512 * 1024


@contextmanager
def uploaded(name: str) -> Iterator[IO[bytes]]:
    """The content of the part `name`, which may lack a file name; raises InvalidInput without one.

    Flask's own parser would hold plain fields in memory, and put other letters in place of bytes
    that are not UTF-8.
    """
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as content:
        if not _found(name, content):
            raise no_upload(name)
        content.seek(0)
        yield content


def no_upload(name: str) -> InvalidInput:
    message = f"The request must be multipart/form-data with a CSV file in its field {name}"
    return InvalidInput(message, errors={name: "is required"})


def _found(name: str, content: IO[bytes]) -> bool:
    """Copies the part to `content`; whether there is one."""
    boundary = request.mimetype_params.get("boundary", "").encode("ascii", "ignore")
    if request.mimetype != "multipart/form-data" or not boundary:
        return False
    try:
        times = _copy(name, boundary, content)
    except ValueError:
        message = "The form is broken or cut off"
        raise InvalidInput(message, errors={name: "is required"}) from None
    if times > 1:
        raise InvalidInput(f"The form has the field {name} more than once")
    return times == 1


def _copy(name: str, boundary: bytes, content: IO[bytes]) -> int:
    """How many parts of this name there are, all of which are copied."""
    times, wanted = 0, False
    for event in _events(boundary):
        if not isinstance(event, Data):
            wanted = event.name == name
            times += wanted
        elif wanted:
            content.write(event.data)
    return times


def _events(boundary: bytes) -> Iterator[Any]:
    """The beginnings of parts, and their data."""
    decoder = MultipartDecoder(boundary, _LONGEST_HEADERS)
    parts = 0
    for piece in _pieces():
        try:
            decoder.receive_data(piece)
        except RequestEntityTooLarge:
            raise InvalidInput("The form has a part whose headers are too long") from None
        while not isinstance(event := decoder.next_event(), (NeedData, Epilogue)):
            parts += isinstance(event, (Field, File))
            if parts > _MOST_PARTS:
                raise InvalidInput(f"The form has more than {_MOST_PARTS} parts")
            if isinstance(event, (Field, File, Data)):
                yield event


def _pieces() -> Iterator[bytes | None]:
    """The body; then None, which is its end."""
    size = 0
    while piece := request.stream.read(_PIECE_BYTES):
        size += len(piece)
        yield piece
    if size > limits.UPLOAD_BYTES:
        raise TooLarge(limits.UPLOAD_BYTES)  # it came in chunks, and was cut off
    yield None

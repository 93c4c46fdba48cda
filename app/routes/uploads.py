"""Reads the one file of a multipart form piece by piece; of the rest it keeps what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
_LONGEST_FIELD = 100


@contextmanager
def uploaded(name: str) -> Iterator[IO[bytes]]:
    """The content of the part `name`, which may lack a file name; raises InvalidInput without one.

    Flask's own parser would hold plain fields in memory, and put other letters in place of bytes
    that are not UTF-8.
    """
    with uploaded_with(name, ()) as (content, _):
        yield content


@contextmanager
def uploaded_with(
    name: str, fields: Iterable[str]
) -> Iterator[tuple[IO[bytes], Mapping[str, str]]]:
    """The same, and the first 100 bytes of each of these plain fields; "" for one that lacks."""
    kept = dict.fromkeys(fields, b"")
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as content:
        if not _found(name, content, kept):
            raise no_upload(name)
        content.seek(0)
        yield content, {field: value.decode("utf-8", "replace") for field, value in kept.items()}


def no_upload(name: str) -> InvalidInput:
    message = f"The request must be multipart/form-data with a CSV file in its field {name}"
    return InvalidInput(message, errors={name: "is required"})


def _found(name: str, content: IO[bytes], kept: dict[str, bytes]) -> bool:
    """Copies the part to `content`; whether there is one."""
    boundary = request.mimetype_params.get("boundary", "").encode("ascii", "ignore")
    if request.mimetype != "multipart/form-data" or not boundary:
        return False
    try:
        times = _copy(name, _events(boundary), content, kept)
    except ValueError:
        message = "The form is broken or cut off"
        raise InvalidInput(message, errors={name: "is required"}) from None
    if times > 1:
        raise InvalidInput(f"The form has the field {name} more than once")
    return times == 1


def _copy(name: str, events: Iterable[Any], content: IO[bytes], kept: dict[str, bytes]) -> int:
    """How many parts of this name there are, all of which are copied; the last field counts."""
    times, part = 0, ""
    for event in events:
        if not isinstance(event, Data):
            part = event.name
            times += part == name
            if part in kept:
                kept[part] = b""
        elif part == name:
            content.write(event.data)
        elif part in kept:
            kept[part] = (kept[part] + event.data)[:_LONGEST_FIELD]
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

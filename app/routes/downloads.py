"""Answers with a file that is made while it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from flask import Response, request


def csv_file(name: str, pieces: Iterator[bytes]) -> Response:
    """A CSV file of this name; raises what the first two pieces raise.

    A later failure breaks the answer off: its last chunk is missing.
    """
    first = list(islice(pieces, 2))
    response = Response(chain(first, pieces), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return sent_in_pieces(response)


def sent_in_pieces(response: Response) -> Response:
    """Each piece is sent as soon as it is made."""
    response.headers["X-Accel-Buffering"] = "no"  # Nginx would wait, and write much to disk
    request.environ["asgi.streams"] = True
    return response

"""Replays and compares the exchanges of docs/api.md; `python -m tests.exchanges` rewrites them."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from flask.testing import FlaskClient

from app.errors import phrase

DOCUMENT = Path(__file__).parents[1] / "docs" / "api.md"
BASE_URL = "http://localhost:8000"
SHOWN_HEADERS = (
    "Location",
    "Link",
    "X-Total-Count",
    "X-Cache",
    "Cache-Control",
    "Retry-After",
    "Allow",
    "Content-Disposition",
)
CONDITIONS = ("Idempotency-Key", "If-Match", "If-None-Match")
_BLOCK = re.compile(r"```http\n(.*?)```\n\n```(?:http|json)?\n(.*?)```\n", re.DOTALL)
_CODE = re.compile(r'"short_code": ?"(\w+)"')
_VOLATILE = ("request_id", "at", "created_at", "updated_at", "timestamp", "duration_ms", "instance")


class Exchange(NamedTuple):
    request: str
    answer: str


def exchanges(text: str) -> list[Exchange]:
    return [Exchange(*found) for found in _BLOCK.findall(text)]


class Replay:
    """Sends what the document says.

    The short codes are other ones each time, so it remembers which stands for which.
    """

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.real: dict[str, str] = {}  # by the code in the document

    def send(self, exchange: Exchange) -> str:
        """The answer to one request as the document would show it."""
        head, _, body = exchange.request.partition("\n\n")
        (method, path), *headers = [
            line.split(": " if number else " ", 1)
            for number, line in enumerate(head.strip().splitlines())
        ]
        data = self._translated(body.rstrip("\n"), self.real)
        if "multipart" in head:
            data = data.replace("\n", "\r\n") + "\r\n"
        response = self.client.open(
            self._translated(path, self.real), method=method, headers=headers, data=data.encode()
        )
        self._learn(exchange.answer, response.text)
        written = {real: code for code, real in self.real.items()}
        response.headers["Allow"] = ", ".join(sorted(response.headers.get("Allow", "").split(", ")))
        is_conditional = any(name in CONDITIONS for name, _ in headers)
        names = SHOWN_HEADERS + ("ETag", "Idempotent-Replayed") * is_conditional
        shown = [
            f"{name}: {response.headers[name]}" for name in names if response.headers.get(name)
        ]
        head = "\n".join([f"{response.status_code} {phrase(response.status_code)}", *shown])
        return self._translated(f"{head}\n\n{response.text}".rstrip("\n") + "\n", written)

    def _learn(self, documented: str, real: str) -> None:
        for code, found in zip(_CODE.findall(documented), _CODE.findall(real), strict=False):
            if found not in self.real.values():
                self.real[code] = found

    @staticmethod
    def _translated(text: str, codes: dict[str, str]) -> str:
        return re.sub(r"\w+", lambda word: codes.get(word[0], word[0]), text)


def comparable(answer: str) -> Any:
    """Status, headers and body, without what is another each time."""
    head, _, body = answer.strip("\n").partition("\n\n")
    try:
        return head.splitlines(), _steady(json.loads(body))
    except ValueError:
        return head.splitlines(), body


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: type(inner).__name__ if key in _VOLATILE else _steady(inner)
            for key, inner in value.items()
        }
    return [_steady(inner) for inner in value] if isinstance(value, list) else value


def is_excerpt(answer: str) -> bool:
    return answer.endswith("\n...\n")


def excerpt_matches(documented: str, real: str) -> bool:
    """Whether every line of an excerpt is part of the real answer, whatever the numbers are."""
    wanted = [_without_numbers(line) for line in documented.splitlines() if line and line != "..."]
    return all(line in _without_numbers(real) for line in wanted)


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?(e[+-]\d+)?", "0", text)


def pretty(answer: str) -> str:
    """The answer as it is easy to read: a short body on one line, a long one on many."""
    head, _, body = answer.partition("\n\n")
    try:
        value = json.loads(body)
    except ValueError:
        return answer
    line = json.dumps(value, ensure_ascii=False)
    shown = line if len(line) < 130 else json.dumps(value, ensure_ascii=False, indent=2)
    return f"{head}\n\n{shown}\n"


def rewritten(text: str, client: FlaskClient) -> str:
    replay = Replay(client)

    def answered(found: re.Match[str]) -> str:
        exchange = Exchange(found[1], found[2])
        real = replay.send(exchange)
        answer = exchange.answer if is_excerpt(exchange.answer) else pretty(real)
        return f"```http\n{exchange.request}```\n\n```http\n{answer}```\n"

    return _BLOCK.sub(answered, text)


def main() -> None:
    from app import create_app  # noqa: PLC0415 - only here is an application of its own needed
    from app.config import Settings  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            database_url=f"sqlite:///{folder}/holdfast.db",
            log_file=f"{folder}/holdfast.log",
            instance="web-1",
            base_url=BASE_URL,
        )
        client = create_app(settings).test_client()
        prepare()
        DOCUMENT.write_text(rewritten(DOCUMENT.read_text(), client))


def prepare() -> None:
    """What cannot be made over HTTP: the products of the sample data."""
    from app.imports import importing  # noqa: PLC0415

    importing.load([str(DOCUMENT.parents[1] / "seed_data" / "products.csv")])


if __name__ == "__main__":
    sys.exit(main())

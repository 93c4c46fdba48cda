"""Rows per second and memory of both CSV imports beside plain COPY of the same rows."""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from flask import Flask

from app import create_app
from app.config import Settings

_ROOT = Path(__file__).parents[1]
_LINKS = 5_000
_TYPES = ("clicked",) * 17 + ("created", "updated", "deleted")
_START = datetime(2024, 1, 1)  # noqa: DTZ001 - the database keeps UTC without a zone
_MEGABYTE = 1024 * 1024


# ---- the rows ----


def _write(path: Path, header: str, rows: Iterator[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


def _users(count: int) -> Iterator[Sequence[object]]:
    for n in range(1, count + 1):
        yield (
            n,
            f"person.{n}",
            f"Person.{n}@mail{n % 50}.example.com",
            _START + timedelta(seconds=n),
        )


def _links() -> Iterator[Sequence[object]]:
    for n in range(1, _LINKS + 1):
        moment = _START + timedelta(minutes=n)
        yield (
            n,
            n % 1000 + 1,
            f"b{n:05}",
            f"https://www.example.com/page/{n}",
            f"Page {n}",
            True,
            moment,
            moment,
        )


def _events(count: int) -> Iterator[Sequence[object]]:
    dice = random.Random(1)
    for n in range(1, count + 1):
        link = dice.randrange(1, _LINKS + 1)
        details = {
            "short_code": f"b{link:05}",
            "original_url": f"https://www.example.com/page/{link}",
            "ip": f"192.0.2.{n % 255}",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "referrer": "",
        }
        yield (
            n,
            link,
            link % 1000 + 1,
            dice.choice(_TYPES),
            _START + timedelta(seconds=n),
            json.dumps(details),
        )


# ---- the contestants ----


class Bench:
    """One database, its application, and what is timed in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app: Flask = create_app(Settings(database_url=url, log_file="", log_level="WARNING"))

    def sql(self, *statements: str) -> None:
        with self._cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with closing(psycopg2.connect(self.url.replace("+pool", ""))) as connection:
            connection.autocommit = True
            yield connection.cursor()

    def copy(self, table: str, path: Path) -> None:
        header = path.open(encoding="utf-8").readline().strip()
        with self._cursor() as cursor, path.open(encoding="utf-8") as file:
            cursor.copy_expert(
                f"COPY {table} ({header}) FROM STDIN WITH (FORMAT csv, HEADER)", file, size=65_536
            )

    def post(self, path: Path) -> None:
        with path.open("rb") as file:
            answer = self.app.test_client().post("/users/bulk", data={"file": (file, "users.csv")})
        assert answer.status_code == 201, answer.text
        assert answer.get_json()["failed"] == 0, answer.text

    def load(self, path: Path) -> None:
        command = [sys.executable, str(_ROOT / "load_csv.py"), str(path)]
        subprocess.run(
            command,
            check=True,
            cwd=_ROOT,
            env={**os.environ, "DATABASE_URL": self.url},
            stdout=subprocess.DEVNULL,
        )

    def empty(self, *tables: str) -> None:
        self.sql(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE", "CHECKPOINT")


def _seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _duel(
    bench: Bench, table: str, path: Path, ours: Callable[[Path], None], rounds: int
) -> tuple[float, float]:
    """The best time of plain COPY and of our import, which take turns."""
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        bench.empty(table)
        plain = _seconds(lambda: bench.copy(table, path))
        bench.empty(table)
        times.append((plain, _seconds(lambda: ours(path))))
    return min(pair[0] for pair in times), min(pair[1] for pair in times)


def _line(what: str, rows: int, plain: float, ours: float) -> None:
    print(
        f"{what:32} {rows:>9,} {rows / plain:>13,.0f} {rows / ours:>13,.0f} {plain / ours:>7.2f}",
        flush=True,
    )


def _children_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / _MEGABYTE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    bench = Bench(os.environ["TEST_DATABASE_URL"])
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        _run(bench, Path(name), options)


def _run(bench: Bench, folder: Path, options: argparse.Namespace) -> None:
    print(f"{'':32} {'rows':>9} {'COPY rows/s':>13} {'ours rows/s':>13} {'ratio':>7}")
    users = _write(folder / "users.csv", "id,username,email,created_at", _users(options.users))
    _line(
        "POST /users/bulk",
        options.users,
        *_duel(bench, "users", users, bench.post, options.rounds * 2),
    )
    links = _write(
        folder / "urls.csv",
        "id,user_id,short_code,original_url,title,is_active,created_at,updated_at",
        _links(),
    )
    bench.load(links)
    header = "id,url_id,user_id,event_type,timestamp,details"
    few = _write(folder / "few.csv", header, _events(options.events // 10))
    bench.load(few)
    small = _children_megabytes()
    many = _write(folder / "events.csv", header, _events(options.events))
    _line(
        "load_csv.py events.csv",
        options.events,
        *_duel(bench, "events", many, bench.load, options.rounds),
    )
    print(
        f"peak memory of load_csv.py: {small:.0f} MB for {options.events // 10:,} events, "
        f"{_children_megabytes():.0f} MB for {options.events:,}"
    )


if __name__ == "__main__":
    main()

"""What tests of the imports share: uploading a CSV file, reading all tables, and a database of
one's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from app.config import Settings
from app.database import db

TABLES = ("users", "urls", "events", "products")


def post_csv(client: FlaskClient, content: str | bytes) -> TestResponse:
    return post_file(client, "/users/bulk", content)


def post_file(client: FlaskClient, path: str, content: str | bytes) -> TestResponse:
    file = FileStorage(
        BytesIO(content.encode() if isinstance(content, str) else content), "users.csv"
    )
    boundary, body = encode_multipart(
        {"file": file}
    )  # the client would leave a temporary file open
    return client.post(path, data=body, content_type=f"multipart/form-data; boundary={boundary}")


def tables() -> dict[str, list[Any]]:
    """Every row of every table that imports write."""
    return {
        table: db.execute_sql(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in TABLES
    }


def counts() -> dict[str, int]:
    return {
        table: db.execute_sql(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES
    }


@contextmanager
def fresh_database(settings: Settings, folder: Path) -> Iterator[str]:
    """The URL of a database that nobody has used yet, on the engine that `settings` use."""
    if settings.database_url.startswith("sqlite"):
        yield f"sqlite:///{folder}/fresh.db"
        return
    name = f"fresh_{uuid4().hex}"
    _administrate(settings, f"CREATE DATABASE {name}")
    try:
        yield settings.database_url.rpartition("/")[0] + f"/{name}"
    finally:
        _administrate(settings, f"DROP DATABASE {name} WITH (FORCE)")


def _administrate(settings: Settings, sql: str) -> None:
    with closing(postgres(settings)) as connection:
        connection.autocommit = True
        connection.cursor().execute(sql)


def postgres(settings: Settings) -> Any:
    """A connection to the tests' PostgreSQL beside the application's pool."""
    return psycopg2.connect(settings.database_url.replace("+pool", ""))

"""Loads the sample data into an empty database, once however many replicas start together."""

from __future__ import annotations

from pathlib import Path

from app import database
from app.database import db, now, released, without_timeouts
from app.imports import importing
from app.models import Event, KeyValue, Product, Url, User

_FOLDER = Path(__file__).parents[2] / "seed_data"


def seed_once(folder: Path = _FOLDER) -> bool:
    """Loads all CSV files of `folder`, once and into an empty database; whether it did."""
    with released(), without_timeouts(), db.atomic():
        database.lock("seeding")
        if KeyValue.get_or_none(KeyValue.name == "seeded_at") or any(
            table.select().exists() for table in (User, Url, Event, Product)
        ):
            return False
        importing.load([str(path) for path in sorted(folder.glob("*.csv"))])
        KeyValue.create(name="seeded_at", value=now().isoformat())
        return True

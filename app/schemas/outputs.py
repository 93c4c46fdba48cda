"""How every noun looks in an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import to_json

from app.schemas.details import shown_details
from app.schemas.examples import EXAMPLES
from app.schemas.rules import Timestamp


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class User(Out):
    id: int
    username: str
    email: str
    created_at: Timestamp


class Url(Out):
    id: int
    user_id: int | None
    short_code: str
    original_url: str
    title: str | None
    is_active: bool
    created_at: Timestamp
    updated_at: Timestamp
    short_url: str
    click_count: int


class Event(Out):
    id: int
    url_id: int | None
    user_id: int | None
    event_type: str
    timestamp: Timestamp
    details: dict[str, Any]


class Product(Out):
    id: int
    name: str
    category: str
    price: float
    stock: int


class UrlStats(Out):
    url: Url
    redirect_count: int


class BadRow(Out):
    line: int
    error: str
    value: str


class ImportReport(Out):
    imported: int
    count: int
    created: int
    skipped: int
    failed: int
    total: int
    errors: list[BadRow]


class Health(Out):
    status: Literal["ok", "degraded"]
    database: Literal["connected", "refusing", "disconnected"]
    cache: Literal["connected", "disconnected", "disabled"]


class Readiness(Out):
    status: Literal["ready", "not ready"]
    database: Literal["connected", "refusing", "disconnected"]
    cache: Literal["connected", "disconnected", "disabled"]
    schema_applied: bool


class LogEntry(Out):
    timestamp: Timestamp
    level: str
    logger: str
    message: str
    method: str | None
    path: str | None
    status: int | None
    duration_ms: float | None
    request_id: str | None
    instance: str


class LogSearch(Out):
    count: int
    logs: list[LogEntry]


class Index(Out):
    name: str
    version: str
    documentation: str
    endpoints: list[str]


class Error(Out):
    error: str
    message: str
    status: int
    request_id: str
    errors: dict[str, str] = Field(default_factory=dict, description="Each bad field, and why")


class ImportRefusal(Error):
    """The error of an import; with numbers when its rows were read and all of them were bad."""

    imported: int = Field(default_factory=int)  # unlike None, it is no default in the schema
    count: int = Field(default_factory=int)
    created: int = Field(default_factory=int)
    skipped: int = Field(default_factory=int)
    failed: int = Field(default_factory=int)
    total: int = Field(default_factory=int)


# What comes out of the tables needs no validation: rows are shown as plain objects of the shapes above.


def show_user(user: Any) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "created_at": user.created_at,
    }


def show_url(url: Any, base_url: str) -> dict[str, Any]:
    return {
        "id": url.id,
        "user_id": url.user_id,
        "short_code": url.short_code,
        "original_url": url.original_url,
        "title": url.title,
        "is_active": url.is_active,
        "created_at": url.created_at,
        "updated_at": url.updated_at,
        "short_url": f"{base_url}/{url.short_code}",
        "click_count": url.click_count,
    }


def show_event(event: Any) -> dict[str, Any]:
    return {
        "id": event.id,
        "url_id": event.url_id,
        "user_id": event.user_id,
        "event_type": event.event_type,
        "timestamp": event.timestamp,
        "details": shown_details(event.details),
    }


def show_product(product: Any) -> Product:
    return Product.model_validate(product)


def encode(payload: Any) -> bytes:
    """Any of the above, or plain values, as UTF-8 JSON."""
    return to_json(payload)


def definitions(shapes: Sequence[Any]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """The JSON Schema of each shape, by its position, and the named schemas that they refer to."""
    adapters = [
        (position, "validation", TypeAdapter(shape)) for position, shape in enumerate(shapes)
    ]
    schemas, rest = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    named = rest.get("$defs", {})
    for name in named.keys() & EXAMPLES.keys():
        named[name]["examples"] = [EXAMPLES[name]]
    return {key[0]: schema for key, schema in schemas.items()}, without_null_defaults(named)


def without_null_defaults(schema: Any) -> Any:
    """Absent and null mean the same here; generators make strange clients of `default: null`."""
    if isinstance(schema, list):
        return [without_null_defaults(part) for part in schema]
    if isinstance(schema, dict):
        kept = (item for item in schema.items() if item != ("default", None))
        return {key: without_null_defaults(part) for key, part in kept}
    return schema

"""What endpoints answer: the shape of each noun, and its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import to_json

from app.schemas import examples
from app.schemas.details import shown_details
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
    people_count: int
    robot_count: int
    expires_at: Timestamp | None
    expired_url: str | None
    max_clicks: int | None
    redirect_status: int
    forward_query: bool
    tags: list[str]


class Preview(Out):
    """Where a short link leads, for whoever has its code."""

    short_code: str
    short_url: str
    original_url: str
    redirect_status: int
    forward_query: bool
    expires_at: Timestamp | None
    report_address: str | None


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


class UrlOutcome(Out):
    """What became of one of many links: 201 with the link, or an error."""

    status: int
    url: Url | None = None
    error: str = Field(default_factory=str)
    message: str = Field(default_factory=str)
    errors: dict[str, str] = Field(default_factory=dict)


class UrlsCreated(Out):
    created: int
    failed: int
    results: list[UrlOutcome]


class UrlsChanged(Out):
    matched: int
    changed: int
    dry_run: bool


_Database = Literal["connected", "refusing", "disconnected"]
_Cache = Literal["connected", "disconnected", "disabled"]


def _left_out() -> Any:
    """A field that may be absent, but is never null."""
    return Field(default_factory=str)


class Health(Out):
    status: Literal["ok", "degraded"]
    database: _Database
    cache: _Cache


class Readiness(Out):
    """The status alone to who asks from outside, where keys are asked for."""

    status: Literal["ready", "not ready"]
    database: _Database = _left_out()
    cache: _Cache = _left_out()
    schema_applied: bool = _left_out()
    warnings: list[str] = Field(default_factory=list, description="What is unsafe, if anything")


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


class Problem(Out):
    """An error for clients that accept application/problem+json (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: dict[str, str] = Field(default_factory=dict, description="Each bad field, and why")


class UrlsRefusal(Error):
    """No link was made; with the outcome of each when they were read."""

    created: int = Field(default_factory=int)
    failed: int = Field(default_factory=int)
    results: list[UrlOutcome] = Field(default_factory=list)


def reader(shape: type[Out], *without: str) -> Callable[[Any], dict[str, Any]]:
    """Reads the fields of `shape` off a row; rows need no validation."""
    names = [name for name in shape.model_fields if name not in without]
    values_of = attrgetter(*names)
    return lambda row: dict(zip(names, values_of(row), strict=True))


show_user = reader(User)
_columns_of_url = reader(Url, "short_url")
_columns_of_event = reader(Event)


def show_url(url: Any, base_url: str) -> dict[str, Any]:
    about = {"short_url": f"{base_url}/{url.short_code}", "tags": shown_tags(url.tags)}
    return _columns_of_url(url) | about


def show_preview(link: Any, short_code: str, base_url: str, report_address: str) -> dict[str, Any]:
    """`link` is what a redirect knows of the link; `report_address` a URI, or nothing."""
    end = datetime.fromtimestamp(link.expires, UTC).replace(tzinfo=None) if link.expires else None
    return {
        "short_code": short_code,
        "short_url": f"{base_url}/{short_code}",
        "original_url": link.original_url,
        "redirect_status": link.status,
        "forward_query": link.forwards,
        "expires_at": end,
        "report_address": report_address or None,
    }


def shown_tags(stored: str) -> list[str]:
    return json.loads(stored) if stored != "[]" else []


def show_event(event: Any) -> dict[str, Any]:
    return _columns_of_event(event) | {"details": shown_details(event.details)}


def show_product(product: Any) -> Product:
    return Product.model_validate(product)


def encode(payload: Any) -> bytes:
    """Any of these shapes, or plain values, as UTF-8 JSON."""
    return to_json(payload)


def definitions(shapes: Sequence[Any]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """The JSON Schema of each shape, by its position, and the named schemas that they refer to."""
    adapters = [(place, "validation", TypeAdapter(shape)) for place, shape in enumerate(shapes)]
    schemas, rest = TypeAdapter.json_schemas(
        adapters,  # type: ignore[arg-type]
        ref_template="#/components/schemas/{model}",
    )
    named = rest.get("$defs", {})
    for name in named.keys() & examples.NOUNS.keys():
        named[name]["examples"] = [examples.NOUNS[name]]
    return {key[0]: schema for key, schema in schemas.items()}, _without_null_defaults(named)


def _without_null_defaults(schema: Any) -> Any:
    """Without `default: null`, of which generators make wrong clients: null means absent here."""
    if isinstance(schema, list):
        return [_without_null_defaults(part) for part in schema]
    if isinstance(schema, dict):
        kept = (item for item in schema.items() if item != ("default", None))
        return {key: _without_null_defaults(part) for key, part in kept}
    return schema

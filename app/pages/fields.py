"""JSON Schemas as rows of a table: a field's type and its rules, in words."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.schemas.codes import CODE_PATTERN
from app.schemas.keys import NAME_PATTERN
from app.schemas.rules import EMAIL_PATTERN, LARGEST_ID

Json = dict[str, Any]


class Field(NamedTuple):
    """`of`: the object that its type names, "" for none."""

    name: str
    type: str
    of: str
    rules: str
    about: str
    required: bool


def fields(schema: Json) -> list[Field]:
    """Of an object, in its order."""
    required = schema.get("required", ())
    return [field(name, of, name in required) for name, of in schema["properties"].items()]


def field(name: str, schema: Json, required: bool, about: str = "") -> Field:
    rules = ", ".join(_rules(_without_null(schema)))
    about = about or schema.get("description") or _without_null(schema).get("description", "")
    return Field(name, type_of(schema), named(schema), rules, about, required)


def type_of(schema: Json) -> str:
    """Such as `list of Url` or `integer or null`."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(map(type_of, schema["anyOf"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {type_of(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"{kind} of {type_of(schema['additionalProperties'])}"
    return str(_KINDS.get(schema.get("format", ""), kind))


_KINDS = {"binary": "file", "moment": "moment", "date": "date"}


def named(schema: Json) -> str:
    """The object that a schema is, or is a list of; "" for none."""
    inner = _without_null(schema)
    inner = inner.get("items", inner)
    return str(inner.get("$ref", "").rpartition("/")[2])


def _without_null(schema: Json) -> Json:
    found: Json = schema.get("anyOf", [schema])[0]
    return {**found, **{key: schema[key] for key in ("description",) if key in schema}}


def _rules(schema: Json) -> list[str]:
    found = [
        _choice(schema),
        _between(schema.get("minLength"), schema.get("maxLength"), " characters"),
        _between(schema.get("minimum"), schema.get("maximum")),
        _between(schema.get("minItems"), schema.get("maxItems"), " of them"),
        PATTERNS.get(schema.get("pattern", ""), ""),
        _FORMATS.get(schema.get("format", ""), ""),
    ]
    of_each = [f"each {rule}" for rule in _rules(schema["items"])] if "items" in schema else []
    return [rule for rule in (*found, *of_each) if rule]


def _choice(schema: Json) -> str:
    if "const" in schema:
        return f"always {schema['const']}"
    words = [str(value) for value in schema.get("enum", ())]
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _between(low: int | None, high: int | None, unit: str = "") -> str:
    high = None if high == LARGEST_ID else high
    if high is None:
        return f"at least {low:,}{unit}" if low is not None else ""
    return f"{low:,} to {high:,}{unit}" if low else f"at most {high:,}{unit}"


_FORMATS = {"web-address": "an http or https URL with a host", "moment": "ISO 8601"}
PATTERNS = {
    CODE_PATTERN: "1 to 64 letters, digits, - or _",
    EMAIL_PATTERN: "an e-mail address",
    NAME_PATTERN: "no number, no control characters",
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$": "YYYY-MM-DDTHH:MM:SS",
    "^[0-9]+(,[0-9]+)*$": "ids, separated by commas",
    "^holdfast_[0-9A-Za-z]{49}$": "holdfast_ and 49 letters and digits",
}
"""What patterns say, in words; other patterns repeat what length and format say."""

"""Checks values against the schemas, and says what is wrong in our own words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from app.errors import InvalidInput

Model = TypeVar("Model", bound=BaseModel)


def validator(annotation: Any) -> Callable[[Any], Any]:
    """Applies one of the named types above; raises a ValueError for `in_our_words`."""
    return TypeAdapter(annotation, config=ConfigDict(strict=True)).validator.validate_python


def in_our_words(error: ValueError) -> str:
    """Why a value was refused. Finding the words costs several times as much as refusing."""
    if isinstance(error, ValidationError):
        return _words(error.errors(include_url=False)[0])
    return str(error)


def load_object(text: str) -> dict[str, Any]:
    """A JSON object that can be stored and written out again; raises ValueError in a few words."""
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("must be a JSON object")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def check(model: type[Model], values: Mapping[str, Any]) -> Model:
    """`values` as `model`; raises InvalidInput that names every bad field in our own words."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = {_field(problem["loc"]): _words(problem) for problem in found}
        given = "; ".join(f"{name}: {why}{_quote(values, name)}" for name, why in problems.items())
        raise InvalidInput(given, errors=problems) from None


def _field(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location else "body"


def _quote(values: Mapping[str, Any], name: str) -> str:
    """The value that was refused, printable and short."""
    return f" (got {ascii(values[name])[:100]})" if name in values else ""


_WORDS = {
    "missing": "is required",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "string_unicode": "must not contain NUL or lone surrogates",
    "ours": "{why}",
}


def _words(problem: Any) -> str:
    words = _WORDS.get(problem["type"], str(problem["msg"]))
    return words.format(**problem.get("ctx", {}))

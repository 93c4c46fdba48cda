"""What schemathesis cannot read in the document: how addresses and uploaded files are made."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import schemathesis
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z0-9]{1,20}(-[a-z0-9]{1,20})?", fullmatch=True)
ODD_HOSTS = st.sampled_from(["[::1]", "127.0.0.1", "münchen.example", "u:p@x"])
# A name that ends in a number is an IPv4 address or refused, and no pattern says so.
HOSTS = st.lists(NAMES, max_size=3).map(lambda names: ".".join([*names, "example"])) | ODD_HOSTS
PORTS = st.just("") | st.integers(1, 65535).map(":{}".format)
PRINTABLE = st.characters(min_codepoint=33, exclude_categories=["C", "Z"])
PATHS = st.just("") | st.text(PRINTABLE, max_size=30).map("/{}".format)
SCHEMES = st.sampled_from(["http", "https", "HTTP", "Https"])

ADDRESSES = st.builds("{}://{}{}{}".format, SCHEMES, HOSTS, PORTS, PATHS)
schemathesis.openapi.format("web-address", ADDRESSES)

FUTURE = st.datetimes(datetime.fromisoformat("2090-01-01"), datetime.fromisoformat("2200-01-01"))
ZONES = st.sampled_from(["", "Z", "+02:00", "-05:30"])
MOMENTS = st.builds("{}{}".format, FUTURE.map(lambda at: at.isoformat(timespec="seconds")), ZONES)
schemathesis.openapi.format("moment", MOMENTS)

PLAIN = st.characters(exclude_categories=["Cs"], exclude_characters='"\0\r')
ROWS = st.lists(st.text(PLAIN), max_size=5)
# A file of bad rows only is refused.
FILES = ROWS.map(lambda rows: "\n".join(["username,email", "ada,ada@example.com", *rows]).encode())
schemathesis.openapi.media_type("text/csv", FILES)


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """JSON Schema can refuse NUL in details only by a recursion, which breaks generated clients.

    For JSON Schema 1.0 is an integer, and for this service it is not.
    """
    if not isinstance(body, dict):
        return True
    return not (has_nul(body.get("details")) or isinstance(body.get("max_clicks"), float))


def has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(has_nul, value))
    return isinstance(value, str) and "\0" in value


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """What JSON Schema cannot say: which parameters need, or exclude, each other."""
    query, body, name = case.query or {}, case.body, (case.method, case.path)
    if name == ("PATCH", "/urls") and isinstance(body, dict):
        has_tags = bool(body.get("tags"))
        return bool(query.keys() - {"dry_run"}) and has_tags == (
            body.get("action") in ("tag", "untag")
        )
    if name == ("POST", "/keys") and isinstance(body, dict):
        return body.get("scope") != "admin" or body.get("user_id") is None
    if name == ("POST", "/urls/import"):
        return "source" not in query  # the invented files are no other system's
    if name == ("PUT", "/urls/{url_id}") and isinstance(body, dict):
        return not body.keys() & {"short_code", "custom_code"}  # only its own is accepted
    by = str(query.get("sort", "")).lstrip("-")
    return not ("after" in query and by in ("clicks", "title"))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Most keys are new, and most of the invented tags fit: else all would be 422 or 412."""
    key, tag = (case.headers or {}).get("Idempotency-Key"), (case.headers or {}).get("If-Match")
    if isinstance(key, str) and 0 < len(key) <= 200 and key != '""':
        quote = '"' if key.startswith('"') else ""
        case.headers["Idempotency-Key"] = f"{quote}{uuid.uuid4()}{key.removeprefix(quote)}"
    if isinstance(tag, str) and len(tag) % 4 != 1:
        case.headers["If-Match"] = "*"

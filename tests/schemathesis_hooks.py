"""What schemathesis cannot read in the document: how an address, an uploaded file and details are made."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z0-9]{1,20}(-[a-z0-9]{1,20})?", fullmatch=True)
HOSTS = st.lists(NAMES, min_size=1, max_size=4).map(".".join) | st.sampled_from(["[::1]", "127.0.0.1", "münchen.example", "u:p@x"])
PORTS = st.just("") | st.integers(1, 65535).map(":{}".format)
PATHS = st.just("") | st.text(st.characters(min_codepoint=33, exclude_categories=["C", "Z"]), max_size=30).map("/{}".format)
SCHEMES = st.sampled_from(["http", "https", "HTTP", "Https"])

schemathesis.openapi.format("web-address", st.builds("{}://{}{}{}".format, SCHEMES, HOSTS, PORTS, PATHS))

ROWS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\0\r')), max_size=5)
schemathesis.openapi.media_type("text/csv", ROWS.map(lambda rows: "\n".join(["username,email", *rows]).encode()))


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """JSON Schema can refuse NUL in details only by a recursion, which breaks generated clients."""
    return not (isinstance(body, dict) and has_nul(body.get("details")))


def has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_nul(part) for pair in value.items() for part in pair)
    return any(map(has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value

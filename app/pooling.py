"""What a PostgreSQL session is set to: at its start or, behind a pooler, in each transaction.

A pooler such as PgBouncer drops the options of a connection, and in transaction mode each
transaction may have another session. So there a transaction begins with its settings.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MARK = "-c holdfast.options=on"  # an option that no other session has
# What options cannot set: PGTZ comes after them, and older servers do not know the others.
OWN_SETTINGS = """
SELECT set_config(name, CASE name WHEN 'TimeZone' THEN 'UTC' ELSE '0' END, false) FROM pg_settings
WHERE name IN ('TimeZone', 'idle_session_timeout', 'transaction_timeout')
AND current_setting('holdfast.options', true) = 'on'
"""
"""Sets them in a session that has kept its options, and returns a row for each; else none."""

TIMEOUTS = ("statement_timeout", "lock_timeout")
_OPTION = re.compile(r"(?:-c\s*|--)([\w.]+)=((?:\\.|[^\s\\])*)")
_ISOLATION = "default_transaction_isolation"


class Beginnings(NamedTuple):
    """What a transaction begins with: BEGIN, its settings, and these with timeouts lifted."""

    begin: str = "BEGIN"
    settings: bytes = b""
    lifted: bytes = b""


DIRECT = Beginnings()


def beginnings(options: str, version: int) -> Beginnings:
    """`options` as statements for a server of this version, 150002 for 15.2."""
    given = {name: re.sub(r"\\(.)", r"\1", value) for name, value in _OPTION.findall(options)}
    given |= {"TimeZone": "UTC"} | ({"transaction_timeout": "0"} if version >= 170_000 else {})
    isolation = given.pop("default_transaction_isolation", "read committed")
    own = {name: value for name, value in given.items() if "." not in name}
    lifted = own | dict.fromkeys(TIMEOUTS, "0")
    return Beginnings(f"BEGIN ISOLATION LEVEL {isolation}", _local(own), _local(lifted))


def _local(settings: dict[str, str]) -> bytes:
    return "; ".join(_set(name, value) for name, value in settings.items()).encode()


def _set(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    # A list of names; quoted, it would be one name.
    return f"SET LOCAL {name} = " + (value if name == "search_path" else f"'{quoted}'")

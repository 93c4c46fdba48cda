"""Turns an environment's texts into values: their types, and settings under other names."""

from __future__ import annotations

import re
from dataclasses import Field
from typing import Any
from urllib.parse import quote


def bare(host: str) -> str:
    """`host` without the brackets of an IPv6 address."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def join(host: str, port: int | str) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    host = bare(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fold_other_names(given: dict[str, str]) -> dict[str, str]:
    """`given`, with URLs made of DATABASE_HOST, REDIS_HOST and so on, and FRONT of FAST_LANE."""
    if not given.get("FRONT") and given.get("FAST_LANE"):
        given["FRONT"] = given["FAST_LANE"]  # its former name
    if not given.get("DATABASE_URL") and (given.get("DATABASE_HOST") or given.get("DATABASE_NAME")):
        part = {
            name: given.get(f"DATABASE_{name}") or default
            for name, default in _POSTGRES_DEFAULTS.items()
        }
        login = f"{quote(part['USER'], safe='')}:{quote(part['PASSWORD'], safe='')}"
        hosts = ",".join(join(host, part["PORT"]) for host in part["HOST"].split(","))
        given["DATABASE_URL"] = f"postgresql+pool://{login}@{hosts}/{part['NAME']}"
    if not given.get("REDIS_URL") and given.get("REDIS_HOST"):
        password = given.get("REDIS_PASSWORD")
        # With the user's name, a Redis without a password accepts it too.
        login = f"default:{quote(password, safe='')}@" if password else ""
        address = join(given["REDIS_HOST"], given.get("REDIS_PORT") or 6379)
        given["REDIS_URL"] = f"redis://{login}{address}/0"
    return given


_POSTGRES_DEFAULTS = {
    "NAME": "holdfast",
    "HOST": "localhost",
    "PORT": "5432",
    "USER": "postgres",
    "PASSWORD": "postgres",
}
_BOOLEANS = dict.fromkeys(("true", "1", "yes", "on"), True)
_BOOLEANS |= dict.fromkeys(("false", "0", "no", "off"), False)


def parse(setting: Field[Any], text: str, problems: list[str]) -> Any:
    """`text` as the type of `setting`; appends what is wrong to `problems`, without a secret."""
    name = setting.name.upper()
    if setting.type == "bool":
        if text.lower() not in _BOOLEANS:
            problems.append(f"{name} must be true or false, not {text!r}")
        return _BOOLEANS.get(text.lower())
    if setting.type == "int" and not re.fullmatch("-?[0-9]{1,18}", text):
        problems.append(f"{name} must be a whole number, not {text!r}")
        return None
    value = int(text) if setting.type == "int" else text
    if "check" in setting.metadata and not setting.metadata["check"](value):
        why = setting.metadata["why"](value) if "why" in setting.metadata else ""
        problems.append(f"{name} must be {setting.metadata['rule']}{why}")
    return value

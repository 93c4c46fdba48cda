"""Settings: the one place that reads the environment, checks every value and says at once all that is wrong."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit


class ConfigError(Exception):
    """Some settings cannot be used; the text names every one of them."""


def bare(host: str) -> str:
    """A host without the brackets that an IPv6 address has beside a port."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def join(host: str, port: int | str) -> str:
    """Host and port as they stand in a URL."""
    host = bare(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _between(low: int, high: int, default: int) -> Any:
    return field(
        default=default,
        metadata={
            "check": lambda v: low <= v <= high,
            "rule": f"a whole number from {low} to {high}",
        },
    )


def _one_of(*allowed: object, default: object) -> Any:
    rule = "one of " + ", ".join(str(value) for value in allowed)
    return field(default=default, metadata={"check": lambda v: v in allowed, "rule": rule})


def _url(*schemes: str, default: str) -> Any:
    rule = (
        "a URL that starts with "
        + " or ".join(f"{scheme}://" for scheme in schemes)
        + " and names where it leads"
    )
    return field(
        default=default,
        repr=False,
        metadata={"check": lambda v: not v or _is_url(v, schemes), "rule": rule},
    )


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        return (
            value.isprintable()
            and parts.scheme in schemes
            and (parts.port is None or parts.port > 0)
            and _leads_somewhere(parts)
        )
    except ValueError:
        return False


def _leads_somewhere(parts: SplitResult) -> bool:
    if parts.scheme == "sqlite":
        return (
            len(parts.path) > 1 and ":memory:" not in parts.path
        )  # each connection would have a database of its own
    if "@" in parts.path:
        return False  # half of a password that was not percent-encoded; it would be printed with the address
    if parts.scheme in ("http", "https"):
        return bool(parts.hostname) and not parts.query and not parts.fragment
    return bool(parts.hostname) if parts.scheme in ("redis", "rediss") else len(parts.path) > 1


def _directory(default: str) -> Any:
    return field(
        default=default,
        metadata={
            "check": lambda v: not v or _is_directory(v),
            "rule": "a directory that exists or can be made",
        },
    )


def _is_directory(path: str) -> bool:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        return True
    except OSError:
        return False


def metrics_directory(environ: Mapping[str, str] = os.environ) -> str:
    """Where the workers' counters meet; asked when app.metrics is imported, because its library looks into the environment by itself."""
    path = environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    return path if path and _is_directory(path) else ""


def read_env_file(path: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Adds the settings of a file of NAME=value lines to the environment, whose own ones stay.

    Blank lines, comments and blank values are skipped. Raises ConfigError for any other line.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _ENV_LINE.fullmatch(text)
        if found is None:
            raise ConfigError(f"{path}:{number}: must be NAME=value")
        name, *values = found.groups()
        if value := next(filter(None, values), ""):
            environ.setdefault(name, value)


# A value may stand in quotes; without them a comment may follow it, as Compose reads such files.
_ENV_LINE = re.compile(
    r"""(?:export\s+)?([A-Za-z_]\w*)=(?:'([^']*)'|"([^"]*)"|([^'"\s].*?|))(?:\s+#.*)?"""
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting with its default; its environment variable is the field's name in capitals."""

    database_url: str = _url(
        "sqlite", "postgresql", "postgresql+pool", default="sqlite:///var/holdfast.db"
    )
    redis_url: str = _url("redis", "rediss", "unix", default="")
    base_url: str = _url("http", "https", default="")
    app_host: str = "127.0.0.1"
    app_port: int = _between(1, 65535, 8000)
    web_workers: int = _between(1, 64, 1)
    web_threads: int = _between(1, 256, 8)
    web_queue: int = _between(1, 10_000, 1000)
    trusted_proxies: int = _between(0, 10, 0)
    fast_lane: bool = True
    auto_seed: bool = False
    cache_ttl_seconds: int = _between(1, 30 * 86400, 3600)
    deactivated_status: int = _one_of(404, 410, default=410)
    chaos_token: str = field(default="", repr=False)
    instance: str = field(default_factory=socket.gethostname)
    log_file: str = "var/holdfast.log"
    log_level: str = _one_of("DEBUG", "INFO", "WARNING", "ERROR", default="INFO")
    log_max_bytes: int = _between(10_000, 10**12, 10_000_000)
    prometheus_multiproc_dir: str = _directory("")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show, in every way it may be written."""
        passwords = [urlsplit(url).password or "" for url in (self.database_url, self.redis_url)]
        return tuple(
            sorted(
                {
                    secret
                    for text in (*passwords, self.chaos_token)
                    for secret in (text, unquote(text))
                    if secret
                },
                key=len,
                reverse=True,
            )
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings that `environ` asks for; raises ConfigError with one line for each value that cannot be used."""
        problems: list[str] = []
        given = _fold_reference_names(_with_secret_files(environ, problems))
        texts = {f: given.get(f.name.upper(), "").strip() for f in fields(cls)}
        values = {f.name: _parse(f, text, problems) for f, text in texts.items() if text}
        if problems:
            raise ConfigError("\n".join(problems))
        return cls(**values)

    @classmethod
    def or_exit(cls) -> Settings:
        """The environment's settings; a process that cannot use them says why and ends."""
        try:
            return cls.from_env()
        except ConfigError as error:
            sys.exit(str(error))


def _with_secret_files(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """NAME_FILE names a file that holds the value of NAME: how containers are given secrets."""
    given = dict(environ)
    for name in _readable_names():
        path = environ.get(f"{name}_FILE")
        if path:
            given[name] = _read(f"{name}_FILE", path, problems)
    return given


def _read(name: str, path: str, problems: list[str]) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        problems.append(f"{name} names {path}, which cannot be read")
        return ""
    if not text:
        problems.append(f"{name} names {path}, which is empty")
    return text


def _readable_names() -> list[str]:
    """All settings but the one that a library reads by itself."""
    names = [f.name.upper() for f in fields(Settings) if f.name != "prometheus_multiproc_dir"]
    return [*names, "DATABASE_PASSWORD", "REDIS_PASSWORD"]


def _fold_reference_names(given: dict[str, str]) -> dict[str, str]:
    """DATABASE_NAME/HOST/PORT/USER/PASSWORD and REDIS_HOST/PORT/PASSWORD instead of the URLs."""
    if not given.get("DATABASE_URL") and (given.get("DATABASE_HOST") or given.get("DATABASE_NAME")):
        part = {
            name: given.get(f"DATABASE_{name}") or default
            for name, default in _POSTGRES_DEFAULTS.items()
        }
        login = f"{quote(part['USER'], safe='')}:{quote(part['PASSWORD'], safe='')}"
        given["DATABASE_URL"] = (
            f"postgresql+pool://{login}@{join(part['HOST'], part['PORT'])}/{part['NAME']}"
        )
    if not given.get("REDIS_URL") and given.get("REDIS_HOST"):
        password = given.get("REDIS_PASSWORD")
        # With its user's name, so that a Redis that has no password yet takes it as well.
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
_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def _parse(setting: Field[Any], text: str, problems: list[str]) -> Any:
    """`text` as the type of `setting`; what is wrong with it goes to `problems`, where no secret may go."""
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
        problems.append(f"{name} must be {setting.metadata['rule']}")
    return value

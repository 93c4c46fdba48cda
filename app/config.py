"""Reads the environment: checks every setting, and reports all wrong ones at once."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import unquote

from app.addresses import password_of
from app.checks import (
    REFERRER_POLICIES,
    between,
    contact,
    directory,
    is_directory,
    listed,
    one_of,
    origins,
    picture,
    text_file,
    url,
    words,
)
from app.environment import bare as bare
from app.environment import fold_other_names, parse
from app.environment import join as join


class ConfigError(Exception):
    """Some settings are wrong; the text names each on a line of its own."""


def metrics_directory(environ: Mapping[str, str] = os.environ) -> str:
    """Where worker processes write their metrics, "" for nowhere.

    app.metrics asks when it is imported: its library reads the environment by itself.
    """
    path = environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    return path if path and is_directory(path) else ""


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

    database_url: str = url(
        "sqlite", "postgresql", "postgresql+pool", default="sqlite:///var/holdfast.db"
    )
    redis_url: str = url("redis", "rediss", "unix", default="")
    base_url: str = url("http", "https", default="")
    app_host: str = "127.0.0.1"
    app_port: int = between(1, 65535, 8000)
    web_workers: int = between(1, 64, 1)
    web_threads: int = between(1, 256, 8)
    web_queue: int = between(1, 10_000, 1000)
    trusted_proxies: int = between(0, 10, 0)
    front: bool = True
    auto_seed: bool = False
    cache_ttl_seconds: int = between(1, 30 * 86400, 3600)
    deactivated_status: int = one_of(404, 410, default=410)
    visitor_address: str = one_of("short", "full", "none", default="short")
    event_retention_days: int = between(0, 36_500, 0)
    auth: str = one_of("off", "on", "create", default="off")
    cors_origins: str = origins("")
    limits: str = one_of("on", "off", default="")
    limit_writes: int = between(0, 1_000_000, 60)
    limit_imports: int = between(0, 1_000_000, 6)
    limit_wrong_keys: int = between(0, 1_000_000, 10)
    limit_wrong_codes: int = between(0, 1_000_000, 60)
    blocked_hosts: str = text_file()
    allowed_hosts: str = text_file()
    private_destinations: str = one_of("refuse", "allow", default="")
    report_address: str = contact()
    security_contact: str = contact()
    operator_name: str = words(100)
    operator_logo: str = picture(32 * 1024)
    operator_contact: str = contact()
    referrer_policy: str = one_of(*REFERRER_POLICIES, default="")
    chaos_token: str = field(default="", repr=False)
    instance: str = field(default_factory=socket.gethostname)
    track: str = one_of("stable", "canary", default="stable")
    log_file: str = "var/holdfast.log"
    log_level: str = one_of("DEBUG", "INFO", "WARNING", "ERROR", default="INFO")
    log_max_bytes: int = between(10_000, 10**12, 10_000_000)
    prometheus_multiproc_dir: str = directory("")

    @property
    def has_limits(self) -> bool:
        """Whether clients have limits; unless said, where AUTH is not off."""
        return self.limits == "on" if self.limits else self.auth != "off"

    @property
    def refuses_private(self) -> bool:
        """Whether links to private destinations are refused; unless said, where AUTH is not off."""
        chosen = self.private_destinations
        return chosen == "refuse" if chosen else self.auth != "off"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show, percent-encoded or not; the longest first."""
        passwords = [password_of(url) for url in (self.database_url, self.redis_url)]
        texts = [*passwords, self.chaos_token]
        found = {secret for text in texts for secret in (text, unquote(text)) if secret}
        return tuple(sorted(found, key=len, reverse=True))

    @property
    def origins(self) -> frozenset[str]:
        """Other websites whose scripts may use the interface; `*` for all."""
        return frozenset(listed(self.cors_origins))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings in `environ`; raises ConfigError with one line for each wrong value."""
        problems: list[str] = []
        given = fold_other_names(_with_secret_files(environ, problems))
        texts = {f: given.get(f.name.upper(), "").strip() for f in fields(cls)}
        values = {f.name: parse(f, text, problems) for f, text in texts.items() if text}
        if problems:
            raise ConfigError("\n".join(problems))
        return cls(**values)

    @classmethod
    def or_exit(cls) -> Settings:
        """The environment's settings; exits with the reasons when some are wrong."""
        try:
            return cls.from_env()
        except ConfigError as error:
            sys.exit(str(error))


def _with_secret_files(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """`environ`, where NAME_FILE gives NAME the content of a file, as secrets of containers."""
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
    """What a NAME_FILE can give: all settings but the one that a library reads by itself."""
    names = [f.name.upper() for f in fields(Settings) if f.name != "prometheus_multiproc_dir"]
    return [*names, "DATABASE_PASSWORD", "FAST_LANE", "REDIS_PASSWORD"]

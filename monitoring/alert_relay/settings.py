"""The relay's settings from the environment; all errors are reported together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


class ConfigError(Exception):
    """Some settings cannot be used; the text names every one of them, and shows no secret."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting with its default; its environment variable is the field's name in capitals."""

    discord_webhook_url: str = field(default="", repr=False)
    grafana_url: str = ""
    runbook_url: str = ""
    alerts_log: Path = Path("/var/log/alerts.log")
    evidence_directory: Path = Path("/var/log/alerts.d")
    spool_directory: Path = Path("/var/spool/alert-relay")
    # it runs in a container, and Compose publishes it on loopback only
    alert_relay_host: str = "0.0.0.0"  # noqa: S104
    alert_relay_port: int = 9094
    watchdog_seconds: int = 300

    @classmethod
    # the relay knows nothing of app/config.py
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Settings:  # noqa: TID251
        problems: list[str] = []
        given = _Given(environ, problems)
        defaults = cls()
        settings = cls(
            discord_webhook_url=given.url(
                "DISCORD_WEBHOOK_URL", given.secret("DISCORD_WEBHOOK_URL")
            ),
            grafana_url=given.url("GRAFANA_URL", given.text("GRAFANA_URL")),
            runbook_url=given.url("RUNBOOK_URL", given.text("RUNBOOK_URL")),
            alerts_log=given.path("ALERTS_LOG", defaults.alerts_log),
            evidence_directory=given.path("EVIDENCE_DIRECTORY", defaults.evidence_directory),
            spool_directory=given.path("SPOOL_DIRECTORY", defaults.spool_directory),
            alert_relay_host=given.text("ALERT_RELAY_HOST") or defaults.alert_relay_host,
            alert_relay_port=given.number(
                "ALERT_RELAY_PORT", defaults.alert_relay_port, range(1, 65536)
            ),
            watchdog_seconds=given.number(
                "WATCHDOG_SECONDS", defaults.watchdog_seconds, range(86401)
            ),
        )
        for name, folder in settings.folders().items():
            _make(name, folder, problems)
        if problems:
            raise ConfigError("\n".join(problems))
        return settings

    def folders(self) -> dict[str, Path]:
        """Where it writes, by the setting that says so."""
        return {
            "ALERTS_LOG": self.alerts_log.parent,
            "EVIDENCE_DIRECTORY": self.evidence_directory,
            "SPOOL_DIRECTORY": self.spool_directory,
        }


@dataclass
class _Given:
    """The environment, and what is wrong with it."""

    environ: Mapping[str, str]
    problems: list[str]

    def text(self, name: str) -> str:
        return self.environ.get(name, "").strip()

    def secret(self, name: str) -> str:
        """The value, or what the file holds that NAME_FILE names; an empty file is no value."""
        path = self.text(f"{name}_FILE")
        if not path:
            return self.text(name)
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            self.problems.append(f"{name}_FILE names {path}, which cannot be read")
            return ""

    def url(self, name: str, value: str) -> str:
        if value and not is_url(value):
            self.problems.append(
                f"{name} must be a URL that starts with http:// or https:// and names a host"
            )
        return value

    def path(self, name: str, default: Path) -> Path:
        return Path(self.text(name) or default)

    def number(self, name: str, default: int, allowed: range) -> int:
        text = self.text(name)
        if text and not (
            text.isascii() and text.isdigit() and len(text) < 10 and int(text) in allowed
        ):
            self.problems.append(
                f"{name} must be a whole number from {allowed.start} to {allowed.stop - 1}, not"
                f" {text!r}"
            )
            return default
        return int(text or default)


def is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return (
            value.isascii()
            and value.isprintable()
            and " " not in value
            and _leads_to_a_host(parts.scheme, parts.hostname, parts.port)
        )
    except ValueError:
        return False


def _leads_to_a_host(scheme: str, host: str | None, port: int | None) -> bool:
    return scheme in ("http", "https") and bool(host) and port != 0


def _make(name: str, folder: Path, problems: list[str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problems.append(f"{name} needs the directory {folder}: {error.strerror}")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        problems.append(f"{name} needs the directory {folder}, and may not write into it")

"""Warns when everybody on the network may do everything."""

from __future__ import annotations

from ipaddress import ip_address

from app.config import Settings, bare

OPEN = (
    "AUTH is off and APP_HOST is not loopback: whoever reaches this server may read and change "
    "everything (docs/security.md)"
)


class Exposure:
    """The warnings about the settings that this process is bound to."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def bind(self, settings: Settings) -> None:
        is_open = settings.auth == "off" and not _is_loopback(bare(settings.app_host))
        self.warnings = [OPEN] if is_open else []


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


exposure = Exposure()

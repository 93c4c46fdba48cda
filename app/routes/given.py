"""The values that create_app hands to the routes."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Given:
    """What the answers depend on besides the request; see .env.example for each."""

    base_url: str = ""
    deactivated_status: int = 410
    chaos_token: str = ""
    log_file: str = ""
    metrics_directory: str = ""

    def has_path(self) -> bool:
        return self.base_url.count("/") > 2

    def bind(self, other: Given) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(other, field.name))


given = Given()

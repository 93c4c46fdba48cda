"""Names that no other run has used, so that a service can be loaded again and again."""

from __future__ import annotations

import itertools
import secrets


class Names:
    """One run's; any number of users may ask at once."""

    def __init__(self) -> None:
        self.run = secrets.token_hex(5)
        self._numbers = itertools.count(1)

    def new(self, kind: str) -> str:
        return f"{kind}-{self.run}-{next(self._numbers)}"

    def person(self) -> dict[str, str]:
        name = self.new("load")
        return {"username": name, "email": f"{name}@example.com"}

    def address(self) -> str:
        return f"https://example.com/{self.new('page')}"

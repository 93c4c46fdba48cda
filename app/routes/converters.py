"""What may stand for an id or a short code in a path."""

from __future__ import annotations

import re

from werkzeug.routing import BaseConverter

from app.schemas import ROUTE_NAMES


class IdConverter(BaseConverter):
    """ASCII digits; no id has more than 40."""

    regex = "[0-9]{1,40}"

    def to_python(self, value: str) -> int:
        return int(value)


class CodeConverter(BaseConverter):
    """One segment that no route has as its name: a wrong method on a route stays a 405."""

    regex = rf"(?!(?:{'|'.join(map(re.escape, ROUTE_NAMES))})$)[^/]+"
    part_isolating = True

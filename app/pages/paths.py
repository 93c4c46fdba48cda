"""Where a form may lead back to: pages of ours, and never another website."""

from __future__ import annotations

import re

_OWN = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")


def own_path(text: str) -> str:
    """`text` when it is a path of ours, else ""."""
    return text if _OWN.fullmatch(text) else ""

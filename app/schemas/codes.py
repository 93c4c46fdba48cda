"""Short codes: which texts can be one, and which are taken by routes and pages of Nginx."""

from __future__ import annotations

import re

LONGEST_CODE = 64
POSSIBLE_CODE = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_CODE}}}")
CODE_PATTERN = f"^{POSSIBLE_CODE.pattern}$"
ROUTE_NAMES = (
    "users",
    "users.csv",
    "urls",
    "urls.csv",
    "events",
    "events.csv",
    "logs",
    "products",
    "keys",
    "shorten",
    "health",
    "ready",
    "metrics",
    "chaos",
    "stats",
    "audit",
    "audit.csv",
    "overview",
    "openapi.json",
    "robots.txt",
    "docs",
    "status",
    "import",
)
_MAY_BECOME_ROUTES = (
    "openapi",
    "static",
    "robots",
)
_PAGES_OF_NGINX = (
    "nginx-health",
    "nginx-error",
    "nginx-import-error",
    "nginx-links-error",
    "nginx-bad-request",
)
RESERVED = frozenset((*ROUTE_NAMES, *_MAY_BECOME_ROUTES, *_PAGES_OF_NGINX))
"""Codes that are never given out, because they are, or may become, routes or pages of Nginx;
in lower case."""


def is_reserved(short_code: str) -> bool:
    return short_code.lower() in RESERVED

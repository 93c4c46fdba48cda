"""The requests of `make bench-endpoints`: every route, with what makes it cheap or dear."""

from __future__ import annotations

import json
from string import Template
from typing import NamedTuple

_FORM = "multipart/form-data; boundary=edge"
_PART = 'Content-Disposition: form-data; name="file"; filename="users.csv"'
_ROWS = "".join(f"$new-{row},$new-{row}@example.com\r\n" for row in range(10))
_CSV = f"--edge\r\n{_PART}\r\n\r\nusername,email\r\n{_ROWS}\r\n--edge--\r\n"


class Case(NamedTuple):
    """`route` is the URL map's rule ("" for none); `path` and `body` may hold a Row's $names."""

    name: str
    route: str
    path: str
    status: int = 200
    body: str | None = None
    media: str = "application/json"
    accept: str = "*/*"

    @property
    def method(self) -> str:
        return self.name.split()[0]


class Row(NamedTuple):
    """What is different in each request of a case."""

    number: int
    case: int
    deletable: dict[str, int]  # the first id of the users, urls and events that may be deleted

    def fill(self, text: str) -> str:
        names = {
            "new": f"bench-{self.case}-{self.number}",
            "number": str(self.number),
            "person": str(1 + self.number % 400),
            "link": str(1 + self.number % 2000),
            "cold": f"T{self.number:05}",
            "warm": f"T{19_000 + self.number % 100}",
            "dead": f"D{self.number % 100:05}",
        }
        rows = {name: str(first + self.number) for name, first in self.deletable.items()}
        return Template(text).substitute(names | rows)


def _json(**content: object) -> str:
    return json.dumps(content)


_TAKEN = _json(username="bench", email="bench@example.com")
_PERSON = _json(username="$new", email="$new@example.com")
_LINK = '{"original_url": "https://example.com/$new", "title": "$new", "user_id": $person}'
_LINKS = f'{{"urls": [{", ".join([_LINK] * 10)}]}}'
_FLIP = _json(action="tag", tags=["bench"])
_HTML = "text/html"
_ACTION, _FORM_DATA = "action=activate", "application/x-www-form-urlencoded"
_KEY = _json(name="$new", scope="read")
_EVENT = '{"event_type": "shared", "url_id": $link, "user_id": $person, "details": {"by": "mail"}}'

_USER, _URLS_CODE = "/users/<id:user_id>", "/urls/<code:short_code>"
_URL = "/urls/<id:url_id>"

CASES = [
    Case("GET /<code>, cached", "GET /<code:short_code>", "/$warm", 302),
    Case("GET /<code>, not cached", "GET /<code:short_code>", "/$cold", 302),
    Case("GET /<code>, deactivated", "GET /<code:short_code>", "/$dead", 410),
    Case("GET /<code>, unknown", "GET /<code:short_code>", "/none-$number", 404),
    Case("GET /<code>, impossible", "GET /<code:short_code>", "/no.such.code", 404),
    Case("HEAD /<code>", "GET /<code:short_code>", "/$warm", 302),
    Case("GET /urls/<code>/redirect", f"GET {_URLS_CODE}/redirect", "/urls/$warm/redirect", 302),
    Case("GET /<code>+", "GET /<code:short_code>+", "/$warm+"),
    Case("GET /health", "GET /health", "/health"),
    Case("GET /health/ready", "GET /health/ready", "/health/ready"),
    Case("GET /ready", "GET /ready", "/ready"),
    Case("GET /metrics", "GET /metrics", "/metrics"),
    Case("GET /chaos, no token", "GET /chaos", "/chaos", 401),
    Case("GET /", "GET /", "/"),
    Case("GET /, page", "GET /", "/", accept=_HTML),
    Case("GET /?q=, page", "GET /", "/?q=no+such+$number", accept=_HTML),
    Case("GET /robots.txt", "GET /robots.txt", "/robots.txt"),
    Case("GET /security.txt", "GET /.well-known/security.txt", "/.well-known/security.txt", 404),
    Case("GET /openapi.json", "GET /openapi.json", "/openapi.json"),
    Case("GET /logs", "GET /logs", "/logs"),
    Case("GET /logs?level=&limit=", "GET /logs", "/logs?level=INFO&limit=50"),
    Case("GET /products, cached", "GET /products", "/products"),
    Case("GET /products, not cached", "GET /products", "/products?after=1$number"),
    Case("POST /users", "POST /users", "/users", 201, _PERSON),
    Case("POST /users, taken", "POST /users", "/users", 409, _TAKEN),
    Case("POST /users, bad", "POST /users", "/users", 400, _json(username=1)),
    Case("GET /users", "GET /users", "/users?page=1&per_page=10"),
    Case("GET /users/<id>", "GET /users/<id:user_id>", "/users/$person"),
    Case("GET /users/<id>, unknown", "GET /users/<id:user_id>", "/users/9999999$number", 404),
    Case("PUT /users/<id>", f"PUT {_USER}", "/users/$person", 200, _json(username="$new")),
    Case("DELETE /users/<id>", "DELETE /users/<id:user_id>", "/users/$users", 204),
    Case("GET /users/<id>/urls", f"GET {_USER}/urls", "/users/$person/urls?page=1&per_page=10"),
    Case("POST /users/bulk, 10 rows", "POST /users/bulk", "/users/bulk", 201, _CSV, _FORM),
    Case("GET /users.csv", "GET /users.csv", "/users.csv"),
    Case("GET /urls.csv?user_id=", "GET /urls.csv", "/urls.csv?user_id=$person"),
    Case("GET /events.csv?url_id=", "GET /events.csv", "/events.csv?url_id=$link"),
    Case("POST /urls/import, 10 rows", "POST /urls/import", "/urls/import", 201, _CSV, _FORM),
    Case("POST /urls", "POST /urls", "/urls", 201, _LINK),
    Case("POST /shorten", "POST /shorten", "/shorten", 201, _json(url="https://example.com/$new")),
    Case("GET /urls", "GET /urls", "/urls?page=1&per_page=10"),
    Case("GET /urls?user_id=", "GET /urls", "/urls?user_id=$person&page=1&per_page=10"),
    Case("GET /urls?q=", "GET /urls", "/urls?q=no+such+$number"),
    Case("GET /urls?tag=&sort=", "GET /urls", "/urls?tag=bench&sort=-created_at"),
    Case("GET /urls?user_id=&sort=-clicks", "GET /urls", "/urls?user_id=$person&sort=-clicks"),
    Case("GET /users?email=", "GET /users", "/users?email=none-$number@example.com"),
    Case("GET /events?after_time=", "GET /events", "/events?after_time=2026-01-01&per_page=10"),
    Case("POST /urls/bulk, 10 links", "POST /urls/bulk", "/urls/bulk", 201, _LINKS),
    Case("PATCH /urls, 1 link", "PATCH /urls", "/urls?ids=$link&dry_run=false", 200, _FLIP),
    Case("PATCH /urls, dry run", "PATCH /urls", "/urls?user_id=$person", 200, _FLIP),
    Case("GET /urls/<id>", "GET /urls/<id:url_id>", "/urls/$link"),
    Case("PUT /urls/<id>", "PUT /urls/<id:url_id>", "/urls/$link", 200, _json(title="$new")),
    Case("PUT /urls/<id>, no change", "PUT /urls/<id:url_id>", "/urls/$link", 200, "{}"),
    Case("DELETE /urls/<id>", "DELETE /urls/<id:url_id>", "/urls/$urls", 204),
    Case("GET /urls/<id>/stats", "GET /urls/<id:url_id>/stats", "/urls/$link/stats"),
    Case("GET /stats", "GET /stats", "/stats"),
    Case("GET /urls/<id>/events", "GET /urls/<id:url_id>/events", "/urls/$link/events?per_page=10"),
    Case("GET /urls/<id>/versions", f"GET {_URL}/versions", "/urls/$link/versions"),
    Case("POST /urls/<id>/restore", f"POST {_URL}/restore", "/urls/$link/restore?version=1"),
    Case("GET /urls/<id>/view", f"GET {_URL}/view", "/urls/$link/view"),
    Case("POST /urls/<id>/view", f"POST {_URL}/view", "/urls/$link/view", 303, _ACTION, _FORM_DATA),
    Case("GET /overview", "GET /overview", "/overview"),
    Case("GET /import", "GET /import", "/import"),
    Case("GET /status", "GET /status", "/status"),
    Case("GET /docs", "GET /docs", "/docs"),
    Case("GET /docs/<noun>", "GET /docs/<noun>", "/docs/urls"),
    Case("GET /audit", "GET /audit", "/audit?per_page=10"),
    Case("GET /audit?kind=&subject_id=", "GET /audit", "/audit?kind=url&subject_id=$link"),
    Case("GET /audit.csv?kind=&subject_id=", "GET /audit.csv", "/audit.csv?kind=url&subject_id=1"),
    Case("GET /urls/<id>/qr", "GET /urls/<id:url_id>/qr", "/urls/$link/qr"),
    Case("GET /<code>.qr, PNG", "GET /<code:short_code>.qr", "/$warm.qr?format=png"),
    Case("POST /events", "POST /events", "/events", 201, _EVENT),
    Case("GET /events", "GET /events", "/events?page=1&per_page=10"),
    Case("GET /events/<id>", "GET /events/<id:event_id>", "/events/$link"),
    Case("DELETE /events/<id>", "DELETE /events/<id:event_id>", "/events/$events", 204),
    Case("POST /keys", "POST /keys", "/keys", 201, _KEY),
    Case("GET /keys", "GET /keys", "/keys?per_page=10"),
    Case("GET /keys/<id>", "GET /keys/<id:key_id>", "/keys/1"),
    Case("DELETE /keys/<id>", "DELETE /keys/<id:key_id>", "/keys/2", 204),
    Case("POST /keys/<id>/rotate", "POST /keys/<id:key_id>/rotate", "/keys/1/rotate"),
    Case("GET /nowhere", "", "/no/such/path", 404),
    Case("PATCH /users/<id>", "", "/users/1", 405),
    Case("OPTIONS /users", "", "/users"),
]

"""Examples of requests in curl, Python and JavaScript, made from the OpenAPI document."""

from __future__ import annotations

import json
import shlex
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from app.pages.fields import Json
from app.pages.reference import example_of

_QUERIES = {
    "list_urls": "q=example&sort=-id&per_page=10",
    "update_urls": "ids=7&dry_run=false",
    "restore_url": "version=1",
    "list_events": "event_type=clicked&url_id=7",
    "get_stats": "tag=summer",
    "get_url_stats": "tz=Europe/Berlin",
    "import_file": "dry_run=true",
}
_LEFT_OUT = ("user_id",)
"""Fields that a new server would refuse: it has no user yet."""


class Request(NamedTuple):
    """`sends`: "json", "file", or "" for no body. `gets`: "json", "text", "status" or "lead"."""

    method: str
    url: str
    has_key: bool
    sends: str
    body: Any
    gets: str


def samples(path: str, method: str, operation: Json, schemas: Json, base: str) -> dict[str, str]:
    """By language; {} for what needs more than an API key."""
    if any("chaos" in each for each in operation.get("security", ())):
        return {}
    request = _request(path, method.upper(), operation, schemas, base)
    python = _python_of_a_redirect if request.gets == "lead" else _python
    return {"curl": _curl(request), "Python": python(request), "JavaScript": _script(request)}


def _request(path: str, method: str, operation: Json, schemas: Json, base: str) -> Request:
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            shown = str(parameter["schema"]["examples"][0])
            path = path.replace(f"{{{parameter['name']}}}", shown)
    query = _QUERIES.get(operation["operationId"])
    url = f"{base}{path}?{query}" if query else f"{base}{path}"
    has_key, gets = bool(operation.get("security")), _gets(operation["responses"])
    return Request(method, url, has_key, *_sends(operation, schemas), gets)


def _sends(operation: Json, schemas: Json) -> tuple[str, Any]:
    for media, described in operation.get("requestBody", {}).get("content", {}).items():
        if media == "application/json":
            body = example_of(described, schemas)
            return "json", {name: body[name] for name in body if name not in _LEFT_OUT}
        return "file", described["schema"]["properties"]["file"]["examples"][0]
    return "", None


def _gets(responses: Json) -> str:
    status, response = next(iter(responses.items()))
    if status == "302":
        return "lead"
    if "content" not in response:
        return "status"
    return "json" if "application/json" in response["content"] else "text"


# ---- curl ----


def _curl(request: Request) -> str:
    """One command; a file comes from its standard input."""
    options = ["-i"] if request.gets in ("lead", "status") else []
    if request.method != ("POST" if request.sends else "GET"):
        options.append(f"-X {request.method}")
    lines = [" ".join(["curl", *options, shlex.quote(request.url)])]
    if request.has_key:
        lines.append('-H "Authorization: Bearer $HOLDFAST_KEY"')
    if request.sends == "json":
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(json.dumps(request.body))}")
    if request.sends == "file":
        lines.append(f"-F 'file=@-;filename=rows.csv' <<'CSV'\n{request.body}CSV")
    return " \\\n  ".join(lines)


# ---- Python ----

_PYTHON = """{imports}

{body}request = urllib.request.Request(
{arguments})
with urllib.request.urlopen(request) as answer:
    {shown}"""
_PYTHON_REDIRECT = """import http.client

connection = http.client.{kind}("{host}")
connection.request("GET", "{path}")
answer = connection.getresponse()
print(answer.status, answer.headers["Location"])"""
_PYTHON_FILE = '''file = b"""{rows}"""
head = b'Content-Disposition: form-data; name="file"; filename="rows.csv"'
body = b"--x\\r\\n" + head + b"\\r\\n\\r\\n" + file + b"\\r\\n--x--\\r\\n"
'''


def _python(request: Request) -> str:
    modules = ["json"] if "json" in (request.sends, request.gets) else []
    modules += ["os"] if request.has_key else []
    shown = {
        "json": "print(json.load(answer))",
        "text": "print(answer.read().decode())",
        "status": "print(answer.status)",
    }
    return _PYTHON.format(
        imports="\n".join(f"import {name}" for name in (*modules, "urllib.request")),
        body=_python_body(request),
        arguments="".join(f"    {each},\n" for each in _python_arguments(request)),
        shown=shown[request.gets],
    )


def _python_arguments(request: Request) -> list[str]:
    kinds = {"json": "application/json", "file": "multipart/form-data; boundary=x"}
    headers, found = [], [json.dumps(request.url)]
    if request.has_key:
        headers.append('"Authorization": "Bearer " + os.environ["HOLDFAST_KEY"]')
    if request.sends:
        headers.append(f'"Content-Type": "{kinds[request.sends]}"')
    if request.method != "GET":
        found.append(f'method="{request.method}"')
    if headers:
        found.append(f"headers={{{', '.join(headers)}}}")
    if request.sends:
        found.append(f"data={'body' if request.sends == 'file' else 'json.dumps(body).encode()'}")
    return found


def _python_body(request: Request) -> str:
    if request.sends == "file":
        return _PYTHON_FILE.format(rows=request.body)
    return f"body = {_object(request.body, 4, repr)}\n" if request.sends else ""


def _python_of_a_redirect(request: Request) -> str:
    """urllib would follow it."""
    url = urlsplit(request.url)
    kind = "HTTPSConnection" if url.scheme == "https" else "HTTPConnection"
    return _PYTHON_REDIRECT.format(kind=kind, host=url.netloc, path=url.path)


# ---- JavaScript ----

_SCRIPT_FILE = """const file = {rows};
const body = new FormData();
body.append("file", new Blob([file], {{ type: "text/csv" }}), "rows.csv");
"""


def _script(request: Request) -> str:
    shown = {
        "json": "await answer.json()",
        "text": "await answer.text()",
        "status": "answer.status",
        "lead": 'answer.status, answer.headers.get("Location")',
    }
    options = "".join(f"  {each},\n" for each in _script_options(request))
    call = f"{json.dumps(request.url)}, {{\n{options}}}" if options else json.dumps(request.url)
    after = f"const answer = await fetch({call});\nconsole.log({shown[request.gets]});"
    return _script_body(request) + after


def _script_options(request: Request) -> list[str]:
    headers, found = [], []
    if request.has_key:
        headers.append("Authorization: `Bearer ${process.env.HOLDFAST_KEY}`")
    if request.sends == "json":
        headers.append('"Content-Type": "application/json"')
    if request.method != "GET":
        found.append(f'method: "{request.method}"')
    if headers:
        found.append(f"headers: {{ {', '.join(headers)} }}")
    if request.sends:
        found.append("body" if request.sends == "file" else "body: JSON.stringify(body)")
    return [*found, 'redirect: "manual"'] if request.gets == "lead" else found


def _script_body(request: Request) -> str:
    if request.sends == "file":
        return _SCRIPT_FILE.format(rows=json.dumps(request.body))
    return f"const body = {_object(request.body, 2, json.dumps)};\n" if request.sends else ""


def _object(body: dict[str, Any], indent: int, constant: Any) -> str:
    """A literal of a line for each field; `constant` writes true, false and null."""
    rows = [
        f"{' ' * indent}{json.dumps(name)}: "
        f"{constant(value) if value is None or isinstance(value, bool) else json.dumps(value)},\n"
        for name, value in body.items()
    ]
    return f"{{\n{''.join(rows)}}}"

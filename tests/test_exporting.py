"""The exported links: Nginx alone leads them where the service does, byte for byte, and nowhere
else.
"""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.database import now
from app.models import Url
from app.services.exports import LinksFile
from testkit.servers import HANGS_SECONDS, ROOT, Missing, Server
from tests.conftest import Api, Command

ADDRESSES = {
    "plain": "https://example.com/a?b=c&d=e#f",
    "quotes": """https://example.com/"double"/'single'""",
    "backslashes": "https://example.com/\\n\\\\t\\",
    "dollars": "https://example.com/$uri/${host}/$",
    "braces": "https://example.com/{a};{b}#c;",
    "percent signs": "https://example.com/%41%zz%",
    "angle brackets": "https://example.com/<a>|^`",
    "an address in an address": "https://example.com/?u=https://example.com/?u=abc=",
    "letters beyond ASCII": "https://straße.example/päth?q=日本#ü",
    "2,048 dollars": "https://example.com/" + "$" * 2028,
    "2,048 quotes": "https://example.com/" + '"\\' * 1014,
    "2,048 characters of four bytes": "https://example.com/" + "😀" * 2028,
}


class Nginx(Server):
    """deploy/fail-static.conf as it is, but for its port and for where it may write, beside a file
    of links.
    """

    def __init__(self, links: str) -> None:
        super().__init__()
        self.program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if self.program is None:
            raise Missing("nginx is not installed: apt-get install nginx")
        self.folder.chmod(0o755)
        given = (ROOT / "deploy" / "fail-static.conf").read_text()
        (self.folder / "nginx.conf").write_text(
            given.replace("listen 8080", f"listen 127.0.0.1:{self.port}").replace(
                "/tmp/", f"{self.folder}/"
            )
        )
        (self.folder / "links.conf").write_text(links)

    def command(self) -> list[str]:
        return [
            str(self.program),
            "-p",
            str(self.folder),
            "-c",
            str(self.folder / "nginx.conf"),
            "-g",
            "daemon off;",
        ]

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder}

    def answers(self) -> bool:
        assert self.running, (self.folder / "log").read_text()
        try:
            return self.ask("/nginx-health")[0] == 200
        except OSError:
            return False

    def ask(self, path: str, method: str = "GET") -> tuple[int, Any, bytes]:
        opened = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS_SECONDS)
        with closing(opened) as connection:
            connection.putrequest(method, path)
            connection.endheaders()
            response = connection.getresponse()
            return response.status, response.headers, response.read()


Serve = Callable[[], Nginx]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts Nginx with the links that work at this moment."""
    started: list[Nginx] = []

    def serve_now() -> Nginx:
        started.append(Nginx("".join(LinksFile().lines())))
        started[-1].start()
        return started[-1]

    yield serve_now
    for nginx in started:
        nginx.destroy()


def imported(code: str, address: str = "https://example.com/", **more: Any) -> Url:
    """A link under a code that its owner has chosen."""
    link: Url = Url.create(short_code=code, original_url=address, **more)
    return link


@pytest.mark.services
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_link_leads_where_the_service_leads_byte_for_byte(
    api: Api, serve: Serve, address: str
) -> None:
    code = api.url(address)["short_code"]
    nginx = serve()
    for path in (f"/{code}", f"/urls/{code}/redirect", f"/{code}?with=query"):
        status, headers, body = nginx.ask(path)
        assert (status, body) == (302, b"")
        assert headers.get_all("Location") == [api.client.get(path).headers["Location"]]


@pytest.mark.services
def test_the_headers_are_those_of_the_service(api: Api, serve: Serve) -> None:
    code = api.url()["short_code"]
    _, headers, _ = serve().ask(f"/{code}", "HEAD")
    assert (headers["Cache-Control"], headers["X-Cache"], headers["Content-Length"]) == (
        "private, no-store",
        "HIT",
        "0",
    )
    assert headers["X-Request-ID"]


@pytest.mark.services
def test_codes_that_differ_in_upper_case_only_lead_to_places_of_their_own(
    app: Flask, serve: Serve
) -> None:
    codes = [
        "abc",
        "ABC",
        "aBc",
        "abC",
        "abcd",
        "default",
        "Default",
        "hostnames",
        "volatile",
        "include",
        "0",
        "-_-",
        "x" * 32,
        "X" + "x" * 31,
    ]
    for code in codes:
        imported(code, f"https://example.com/{code}")
    nginx = serve()
    assert {code: nginx.ask(f"/{code}")[1]["Location"] for code in codes} == {
        code: f"https://example.com/{code}" for code in codes
    }
    assert nginx.ask("/AbC")[0] == 503


@pytest.mark.services
def test_many_long_addresses_under_codes_alike_are_told_apart(app: Flask, serve: Serve) -> None:
    places = {
        f"{code}{last}": f"https://example.com/{code}{last}/" + "$" * 2000
        for code in ("abc", "abC", "aBc", "aBC")
        for last in "xX"
    }
    for code, address in places.items():
        imported(code, address)
    nginx = serve()
    assert {code: nginx.ask(f"/{code}")[1]["Location"] for code in places} == places


@pytest.mark.services
def test_inactive_deleted_and_unknown_links_lead_nowhere(api: Api, serve: Serve) -> None:
    live, inactive, deleted = api.url(), api.url(), api.url(expires_at="2099-01-02")
    soon = now() + timedelta(hours=2)
    limited, ending = api.url(max_clicks=9), api.url(expires_at=soon.isoformat())
    api.client.put(f"/urls/{inactive['id']}", json={"is_active": False})
    api.client.delete(f"/urls/{deleted['id']}")
    nginx = serve()
    assert nginx.ask(f"/{live['short_code']}")[0] == 302
    for code in (
        inactive["short_code"],
        deleted["short_code"],
        limited["short_code"],
        ending["short_code"],
        live["short_code"].swapcase() + "x",
        "",
        "users",
        "%00",
        "x" * 5000,
    ):
        status, headers, body = nginx.ask(f"/{code}")
        assert (status, headers.get("Location")) in {(503, None), (400, None)}, code
        assert b"<" not in body


@pytest.mark.services
def test_what_needs_the_application_is_a_503_with_retry_after(api: Api, serve: Serve) -> None:
    url = api.url()
    nginx = serve()
    for method, path in (
        ("GET", "/users"),
        ("POST", "/urls"),
        ("POST", f"/{url['short_code']}"),
        ("DELETE", f"/urls/{url['id']}"),
        ("GET", "/health"),
    ):
        status, headers, body = nginx.ask(path, method)
        assert (status, headers["Retry-After"]) == (503, "30")
        answer = json.loads(body)
        assert (answer["error"], answer["status"], answer["request_id"]) == (
            "Service Unavailable",
            503,
            headers["X-Request-ID"],
        )


@pytest.mark.services
def test_without_any_link_nginx_still_starts(app: Flask, serve: Serve) -> None:
    assert serve().ask("/abcdef")[0] == 503


def test_the_command_writes_what_nginx_reads(app: Flask, holdfast: Command, tmp_path: Path) -> None:
    imported("abcdef", "https://example.com/$")
    imported("ABCDEF", "https://example.com/2")
    imported("other", "https://example.com/3")
    result = holdfast("links", tmp_path / "links.conf")
    assert (result.exit_code, result.stderr) == (0, "Wrote 3 links\n")
    entries = [
        line.strip()
        for line in (tmp_path / "links.conf").read_text().splitlines()
        if line.startswith("  ")
    ]
    assert entries == [
        '"/other" "other=https://example.com/3";',
        '"/abcdef" "abcdef=https://example.com/${dollar} ABCDEF=https://example.com/2";',
    ]


def test_more_links_than_are_read_at_once_are_all_exported(app: Flask) -> None:
    rows = [
        {"short_code": f"c{number}", "original_url": "https://example.com/"}
        for number in range(2500)
    ]
    Url.insert_many(rows).execute()
    links_file = LinksFile()
    assert sum(line.startswith('  "/c') for line in links_file.lines()) == links_file.count == 2500


def test_an_export_that_fails_leaves_the_one_before(
    app: Flask, holdfast: Command, tmp_path: Path
) -> None:
    links = tmp_path / "links.conf"
    links.write_text("as before")
    imported(
        "übcdef", "https://example.com/"
    )  # no row can come to be like this, but it cannot be exported
    assert holdfast("links", links).exit_code == 1
    assert links.read_text() == "as before"


@pytest.mark.parametrize("name", ["links.conf", "-"])
def test_no_links_at_all_do_not_take_the_place_of_those_before(
    app: Flask, holdfast: Command, tmp_path: Path, name: str
) -> None:
    links = tmp_path / "links.conf"
    links.write_text("as before")
    result = holdfast("links", name if name == "-" else links)
    assert (result.exit_code, result.stderr) == (1, "Error: There are no live links\n")
    assert [path.name for path in tmp_path.iterdir()] == ["links.conf"]
    assert links.read_text() == "as before"

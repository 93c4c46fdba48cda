"""Whoever watches the pages sees what there is to see."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.browser.conftest import Windows
from tests.browser.sites import Site

_POLICY = "default-src 'none'; script-src 'self'"


class _Bad(BaseHTTPRequestHandler):
    """A page that does everything that ours must not do."""

    def do_GET(self) -> None:
        is_page = self.path == "/"
        self.send_response(200 if is_page else 503)
        self.send_header("Content-Type", "text/html")
        if is_page:
            self.send_header("Content-Security-Policy", _POLICY)
        self.end_headers()
        if is_page:
            self.wfile.write(_PAGE)

    def log_message(self, *_arguments: object) -> None:
        """Prints nothing."""


_PAGE = b"""<!doctype html><title>Bad</title><script>alert(1)</script>
<script src=/broken.js></script><a href="https://evil.example/">away</a>"""


@pytest.fixture
def bad_site() -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Bad)
    Thread(target=server.serve_forever, daemon=True).start()
    site = Site.__new__(Site)
    site.port = server.server_address[1]
    yield site
    server.shutdown()
    server.server_close()


def test_the_watch_sees_what_no_page_may_do(window: Windows, bad_site: Site) -> None:
    watched = window(bad_site)
    watched.open("/")
    watched.page.evaluate("alert('a dialog')")
    watched.page.evaluate("fetch('https://evil.example/told').catch(() => 0)")
    watched.page.evaluate("setTimeout(() => { throw new Error('a fault') })")
    watched.page.get_by_text("away").click()
    watched.page.wait_for_timeout(200)
    seen = "\n".join(watched.faults)
    for what in (
        "Content Security Policy",
        "dialog: a dialog",
        "a request to https://evil.example/",
        "a fault",
        "503 of",
    ):
        assert what in seen, seen

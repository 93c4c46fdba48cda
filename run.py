"""The embedded server: checks the port, says where to look and what to type, and becomes Gunicorn."""

from __future__ import annotations

import os
import socket
import sys
from shlex import quote

from app import create_app
from app.config import Settings, bare, join
from app.database import DatabaseUnavailable, released
from app.schemas import UrlQuery
from app.services import urls

_HELLO = """
Holdfast is at {base}

  make a link     curl -s -H 'Content-Type: application/json' -d '{{"url": "https://example.com/"}}' {shorten}
  follow one      {follow}

Ctrl-C stops it; the data stays.
"""


def main() -> None:
    settings = Settings.or_exit()
    _refuse_taken_port(settings)
    create_app(settings)  # the first time, this makes the database and loads the sample data
    base = f"http://{join(_reachable(bare(settings.app_host)), settings.app_port)}"
    code = _some_code()
    follow = (
        f"curl -si {quote(f'{base}/{code}')}"
        if code
        else "the short_url of the answer, with curl -si or a browser"
    )
    print(_HELLO.format(base=base, shorten=quote(f"{base}/shorten"), follow=follow), flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "-c", "python:app.serving"])


def _reachable(host: str) -> str:
    """Where a client on this machine finds what listens on `host`."""
    return "localhost" if host in ("", "127.0.0.1", "0.0.0.0", "::") else host


def _some_code() -> str | None:
    try:
        with released():
            links = urls.page(UrlQuery(is_active=True, per_page=1)).rows  # type: ignore[call-arg]  # the others have defaults
    except DatabaseUnavailable:
        return None
    return str(links[0].short_code) if links else None


def _refuse_taken_port(settings: Settings) -> None:
    try:
        address = socket.getaddrinfo(
            bare(settings.app_host), settings.app_port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(*address[:3]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
    except OSError as error:
        sys.exit(
            f"Port {settings.app_port} on {settings.app_host} cannot be used ({error.strerror}); choose another one: APP_PORT=8001 make run"
        )


if __name__ == "__main__":
    main()

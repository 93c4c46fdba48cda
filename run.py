"""The embedded server: checks the port, says where to look and what to type, and becomes Gunicorn."""

from __future__ import annotations

import os
import socket
import sys

from app import create_app
from app.config import ConfigError, Settings
from app.database import released
from app.schemas import UrlQuery
from app.services import urls

_HELLO = """
Holdfast is at {base}

  make a link     curl -s -H 'Content-Type: application/json' -d '{{"url": "https://example.com/"}}' {base}/shorten
  follow one      curl -si {base}/{code}

Ctrl-C stops it; the data stays.
"""


def main() -> None:
    try:
        settings = Settings.from_env()
    except ConfigError as error:
        sys.exit(str(error))
    _refuse_taken_port(settings)
    create_app(settings)  # the first time, this makes the database and loads the sample data
    code = _some_code()
    host = "localhost" if settings.app_host in ("127.0.0.1", "0.0.0.0", "::") else settings.app_host
    print(_HELLO.format(base=f"http://{host}:{settings.app_port}", code=code), flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "-c", "python:app.serving", "app:create_app()"])


def _some_code() -> str:
    with released():
        links = urls.page(UrlQuery(is_active=True, per_page=1)).rows  # type: ignore[call-arg]  # the others have defaults
    return str(links[0].short_code) if links else "the short_code that you were given"


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.app_host, settings.app_port))
        except OSError as error:
            sys.exit(f"Port {settings.app_port} on {settings.app_host} cannot be used ({error.strerror}); choose another one: APP_PORT=8001 make run")


if __name__ == "__main__":
    main()

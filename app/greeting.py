"""What run.py shows once it serves: where it is, and two commands to paste."""

from __future__ import annotations

from shlex import quote

from app.config import Settings, bare, join
from app.database import DatabaseUnavailable, released
from app.schemas import UrlQuery
from app.services import finding

WANTED = "HOLDFAST_GREETING=true"  # an option of Gunicorn's, which app/serving.py looks for

_MAKE = """curl -s -H 'Content-Type: application/json' -d '{"url": "https://example.com/"}'"""
_TEXT = """
Holdfast is at {base}

  make a link     {make}
  follow one      {follow}

Ctrl-C stops it; the data stays.
"""


def greeting(settings: Settings) -> str:
    """The text; it names a link to follow when the database has one."""
    base = f"http://{join(_reachable(bare(settings.app_host)), settings.app_port)}"
    code = _some_code()
    follow = (
        f"curl -si {quote(f'{base}/{code}')}"
        if code
        else "the short_url of the answer, with curl -si or a browser"
    )
    return _TEXT.format(base=base, make=f"{_MAKE} {quote(f'{base}/shorten')}", follow=follow)


def _reachable(host: str) -> str:
    """Where a client on this machine finds what listens on `host`."""
    return "localhost" if host in ("", "127.0.0.1", "0.0.0.0", "::") else host


def _some_code() -> str | None:
    try:
        with released():
            links = finding.page(UrlQuery(is_active=True, per_page=1)).rows  # type: ignore[call-arg]  # the others have defaults
    except DatabaseUnavailable:
        return None
    return str(links[0].short_code) if links else None

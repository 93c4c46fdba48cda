"""Every button and every link of every page, signed in and out, with script and without."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import pytest

from testkit.webserver import Reply
from tests.browser import sample
from tests.browser.conftest import Windows
from tests.browser.pages import PAGES, Page
from tests.browser.pressing import press_all
from tests.browser.sites import Site
from tests.browser.test_pages import WITH_AND_WITHOUT

_EVERY_KEY = {"Sign out", "Copy"}
_WRITES = _EVERY_KEY | {"Shorten", "Save", "Restore", "Delete", "Turn off", "Import"}
OFFERED = {
    "create": _EVERY_KEY | {"Shorten"},
    "read": _EVERY_KEY,
    "write": _WRITES,
    "admin": _WRITES | {"Make the key"},
}
"""Some of the buttons that a key of each scope finds."""
_LINKS = "() => [...document.querySelectorAll('a[href]')].map((each) => each.href)"


def fresh_path(site: Site, page: Page, scope: str | None = None) -> Callable[[], str]:
    """What is pressed may delete something: it is new each time, and its key's own."""

    def fresh() -> str:
        if page.path in ("/urls/1/view", "/urls/10/view"):
            return f"/urls/{site.new_link(scope)['id']}/view"
        if page.path == "/keys":
            site.key("read", of="to be revoked")
        if page.path == "/import":
            site.new_import()
        return page.path

    return fresh


@WITH_AND_WITHOUT
def test_every_button_works_where_no_key_is_asked_for(
    window: Windows, pressed_site: Site, script: bool
) -> None:
    shown = window(pressed_site, script)
    pressed: set[str] = set()
    for page in PAGES:
        press_all(shown, fresh_path(pressed_site, page), pressed)
    assert_pressed(pressed, *OFFERED["admin"] - {"Sign out", "" if script else "Copy"})


@pytest.mark.parametrize("scope", OFFERED)
def test_no_button_is_shown_to_whom_it_would_refuse(
    window: Windows, pressed_guarded_site: Site, scope: str
) -> None:
    shown = window(pressed_guarded_site)
    pressed: set[str] = set()

    def signed_in(path: Callable[[], str]) -> str:
        if not shown.context.cookies():
            shown.sign_in(pressed_guarded_site.keys[scope])
        return path()

    for page in PAGES:
        if page.may(scope):
            path = fresh_path(pressed_guarded_site, page, scope)
            press_all(shown, partial(signed_in, path), pressed)
    assert_pressed(pressed, *OFFERED[scope])


@WITH_AND_WITHOUT
def test_every_button_works_for_whoever_has_no_key(
    window: Windows, pressed_guarded_site: Site, script: bool
) -> None:
    shown = window(pressed_guarded_site, script)
    pressed: set[str] = set()
    for page in PAGES:
        press_all(shown, partial(str, page.path), pressed)
    assert_pressed(pressed, "Sign in")


def assert_pressed(pressed: set[str], *offered: str) -> None:
    left_out = [each for each in offered if not any(name.endswith(each) for name in pressed)]
    assert not left_out, pressed


def test_no_link_of_a_page_is_broken(window: Windows, pressed_site: Site) -> None:
    shown = window(pressed_site)
    found: set[str] = set()
    for page in PAGES:
        shown.open(page.path)
        found |= {link for link in shown.page.evaluate(_LINKS) if not link.endswith("#main")}
    own = {urlsplit(link) for link in found if link.startswith(f"{pressed_site.base}/")}
    assert len(own) > 10
    for link in own:
        if link.path.strip("/") in sample.CODES:
            continue  # dead ones are among them
        path = f"{link.path}?{link.query}" if link.query else link.path
        reply = pressed_site.get(path, headers={"Accept": "text/html"})
        is_dead = reply.status == 410 and link.path.count("/") == 1  # a short link, turned off
        assert reply.status == 200 or is_dead or _leads_away(reply), (path, reply)


def _leads_away(reply: Reply) -> bool:
    return reply.status == 302 and reply.headers["Location"].startswith("https://")

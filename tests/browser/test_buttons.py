"""Every button and every link of every page, signed in and out, with script and without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from testkit.webserver import Reply
from tests.browser import sample
from tests.browser.conftest import Windows
from tests.browser.pages import PAGES, Page
from tests.browser.pressing import press_all
from tests.browser.sites import Site
from tests.browser.test_pages import EVERY_PAGE, WITH_AND_WITHOUT

pytestmark = pytest.mark.xdist_group("buttons")

Pressed = defaultdict[tuple[str, bool], set[str]]
_LINKS = "() => [...document.querySelectorAll('a[href]')].map((each) => each.href)"


def fresh_path(site: Site, page: Page) -> Callable[[], str]:
    """What is pressed may delete something: it is new each time."""

    def fresh() -> str:
        if page.path in ("/urls/1/view", "/urls/10/view"):
            return f"/urls/{site.new_link()['id']}/view"
        if page.path == "/keys":
            site.key("read", of="to be revoked")
        if page.path == "/import":
            site.new_import()
        return page.path

    return fresh


@pytest.fixture(scope="module")
def pressed() -> Pressed:
    """The names of the buttons that were pressed already, by who pressed them."""
    return defaultdict(set)


@EVERY_PAGE
@WITH_AND_WITHOUT
def test_every_button_works_where_no_key_is_asked_for(
    window: Windows, pressed_site: Site, pressed: Pressed, page: Page, script: bool
) -> None:
    shown = window(pressed_site, script)
    press_all(shown, fresh_path(pressed_site, page), pressed["all", script])


@EVERY_PAGE
@pytest.mark.parametrize("scope", ["read", "write", "admin"])
def test_no_button_is_shown_to_whom_it_would_refuse(
    window: Windows, pressed_guarded_site: Site, pressed: Pressed, page: Page, scope: str
) -> None:
    if not page.may(scope):
        return
    shown, path = window(pressed_guarded_site), fresh_path(pressed_guarded_site, page)

    def fresh() -> str:
        if not shown.context.cookies():
            shown.sign_in(pressed_guarded_site.keys[scope])
        return path()

    press_all(shown, fresh, pressed[scope, True])


@EVERY_PAGE
@WITH_AND_WITHOUT
def test_every_button_works_for_whoever_has_no_key(
    window: Windows, pressed_guarded_site: Site, pressed: Pressed, page: Page, script: bool
) -> None:
    shown = window(pressed_guarded_site, script)
    press_all(shown, lambda: page.path, pressed["nobody", script])


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
        assert reply.status == 200 or _leads_away(reply), (path, reply)


def _leads_away(reply: Reply) -> bool:
    return reply.status == 302 and reply.headers["Location"].startswith("https://")

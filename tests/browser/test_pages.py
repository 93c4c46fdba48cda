"""Every page: what it loads, whether it fits, and what axe-core says of it."""

from __future__ import annotations

import pytest

from tests.browser import looking
from tests.browser.conftest import Windows
from tests.browser.pages import PAGES, Page
from tests.browser.sites import SCOPES, Site

EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])


@EVERY_PAGE
@WITH_AND_WITHOUT
def test_a_page_is_small_and_loads_nothing_from_elsewhere(
    window: Windows, open_site: Site, page: Page, script: bool
) -> None:
    shown = window(open_site, script, own=True)  # it remembers no sheet
    assert shown.open(page.path) == page.status
    shown.must_be_quiet()
    if page.small:
        requests, size = looking.weight(shown)
        assert requests <= 3
        assert size <= 60_000


@EVERY_PAGE
@WITH_AND_WITHOUT
def test_a_page_fits_into_every_window(
    window: Windows, open_site: Site, page: Page, script: bool
) -> None:
    shown = window(open_site, script)
    shown.open(page.path)
    looking.must_fit(shown)
    looking.open_details(shown)
    looking.must_fit(shown, "opened")
    shown.must_be_quiet()


@EVERY_PAGE
def test_axe_finds_nothing(window: Windows, open_site: Site, page: Page, axe: str) -> None:
    shown = window(open_site)
    shown.open(page.path)
    looking.open_details(shown)
    for scheme, width in (("light", 390), ("dark", 1280)):
        shown.page.emulate_media(color_scheme=scheme)
        shown.page.set_viewport_size({"width": width, "height": 900})
        looking.must_be_accessible(shown, axe, (scheme, width))
    shown.must_be_quiet()


@pytest.mark.parametrize("scope", [None, *SCOPES])
@WITH_AND_WITHOUT
def test_whoever_signs_in_sees_the_pages_of_the_key_and_no_others(
    window: Windows, guarded_site: Site, axe: str, scope: str | None, script: bool
) -> None:
    shown = window(guarded_site, script)
    if scope:
        shown.sign_in(guarded_site.keys[scope])
    for page in PAGES:
        assert shown.open(page.path) == page.status_for(scope), page
        assert (shown.page.get_by_role("button", name="Sign out").count() == 1) == (
            scope is not None and shown.page.locator("header").count() == 1
        ), page
        if script:
            looking.must_fit(shown, page.name)
        if script and scope in (None, "read", "admin"):
            looking.must_be_accessible(shown, axe, page.name)
        shown.must_be_quiet(page.name)

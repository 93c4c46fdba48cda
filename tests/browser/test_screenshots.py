"""Pictures of all pages in var/screenshots; those in docs/screenshots must be what is shown.

RENEW=1 writes the ones in docs/screenshots anew. They name the Chromium that drew them. Another
version may draw them otherwise: then a difference is a warning.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from testkit.webserver import ROOT
from tests.browser import pictures
from tests.browser.conftest import Windows
from tests.browser.pages import PAGES, Page
from tests.browser.sites import Site
from tests.browser.test_pages import EVERY_PAGE
from tests.browser.watching import Window

ALL, KEPT = ROOT / "var" / "screenshots", ROOT / "docs" / "screenshots"
_MOST = 0.0003  # of the area: a word more is seen, letters drawn a little differently are not
# What is another text each day, or with each version.
_STAND_STILL = """() => {
  for (const each of document.querySelectorAll('time')) each.textContent = '18 Jun 2026, 12:00';
  const days = [...document.querySelectorAll('svg.chart text')]
    .filter((each) => !/^[0-9,]+$/.test(each.textContent));
  days.forEach((each, at) => { each.textContent = ['20 May', '3 Jun', '18 Jun'][at]; });
  for (const each of document.querySelectorAll('footer p')) each.firstChild.data = 'Holdfast · ';
}"""


class Look(NamedTuple):
    name: str
    width: int
    height: int
    scheme: str


DESK, PHONE = Look("desk", 1100, 800, "light"), Look("phone", 390, 800, "dark")
SHOWN = {
    "first-page": ("home", DESK),
    "link": ("link", DESK),
    "link-phone-dark": ("link", PHONE),
}
"""The pictures of README.md and docs/page.md."""


@pytest.fixture(scope="session")
def version(chromium: Browser) -> str:
    return f"Chromium {chromium.version.partition('.')[0]}"


@EVERY_PAGE
def test_a_page_has_its_picture(
    window: Windows, still_site: Site, version: str, page: Page
) -> None:
    shown = window(still_site)
    for look in (DESK, PHONE):
        picture = take(shown, page, look)
        pictures.save(picture, ALL / f"{page.name}-{look.name}-{look.scheme}.png", version)
    shown.must_be_quiet()


@pytest.mark.filterwarnings("always:.* of docs/screenshots")
@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_of_the_documents_is_what_is_shown(
    window: Windows, still_site: Site, version: str, name: str
) -> None:
    page_name, look = SHOWN[name]
    page = next(page for page in PAGES if page.name == page_name)
    picture = take(window(still_site), page, look)
    if os.environ.get("RENEW"):
        pictures.save(picture, KEPT / f"{name}.png", version)
    pictures.save(picture, ALL / "documents" / f"{name}.png", version)
    with Image.open(KEPT / f"{name}.png") as kept:
        differs, drawn_by = pictures.difference(kept, picture), pictures.drawn_by(kept)
    wrong = (
        f"{differs:.2%} of docs/screenshots/{name}.png is not what var/screenshots/documents/"
        f"{name}.png shows; when that is meant: make browser RENEW=1"
    )
    if differs > _MOST and drawn_by != version:
        warnings.warn(f"{wrong}. The first is {drawn_by}'s, the second {version}'s", stacklevel=1)
    else:
        assert differs <= _MOST, wrong


def test_every_picture_in_the_documents_is_compared() -> None:
    documents = [ROOT / "README.md", *ROOT.glob("docs/*.md")]
    shown = re.findall(r"screenshots/([\w-]+)\.png", "".join(map(Path.read_text, documents)))
    assert set(shown) == {path.stem for path in KEPT.glob("*")} == set(SHOWN)


def test_a_page_that_changes_shows_up(window: Windows, still_site: Site) -> None:
    shown = window(still_site)
    home = PAGES[0]
    before = take(shown, home, DESK)
    assert pictures.difference(before, take(shown, home, DESK)) == 0
    shown.page.get_by_role("button", name="Shorten").evaluate("(it) => it.textContent = 'Make it'")
    assert pictures.difference(before, _picture(shown, DESK)) > _MOST


def take(window: Window, page: Page, look: Look) -> Image.Image:
    window.page.emulate_media(color_scheme=look.scheme)
    window.page.set_viewport_size({"width": look.width, "height": look.height})
    window.open(page.path)
    window.page.evaluate(_STAND_STILL)
    return _picture(window, look)


def _picture(window: Window, look: Look) -> Image.Image:
    """The whole page, at most two windows high: what is below is seldom looked at."""
    height = window.page.evaluate("document.documentElement.scrollHeight")
    size: ViewportSize = {"width": look.width, "height": min(height, 2 * look.height)}
    window.page.set_viewport_size(size)
    return pictures.small(window.page.screenshot(animations="disabled", caret="hide"))

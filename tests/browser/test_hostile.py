"""Hostile content on all pages: nothing of it runs, is loaded, or looks like a part of the page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import pytest

from tests.browser import hostile, looking
from tests.browser.conftest import Windows
from tests.browser.pages import PAGES
from tests.browser.pressing import press_all
from tests.browser.sites import Site, opened
from tests.browser.test_pages import WITH_AND_WITHOUT
from tests.browser.watching import Window

_MOST_PAGES = 250
# What no page of ours has, and what would be there if a text were taken for HTML.
_INTRUDERS = """([base, foreign]) => {
  const found = [];
  for (const each of document.querySelectorAll('*')) {
    const kind = each.localName;
    const isForeign = ['iframe', 'object', 'embed', 'base', 'style', 'marquee'].includes(kind)
      || (kind === 'script' && !each.src.startsWith(base))
      || [...each.attributes].some((one) => one.name.startsWith('on')
        || (one.name === 'style' && !each.closest(foreign)))
      || (kind === 'a' && each.hasAttribute('href') && !/^https?:/.test(each.href)
        && !each.getAttribute('href').startsWith(
          `javascript:void(open('${base}/?url='+`)) // to be a bookmark
      || (each.href && each.href.baseVal) || (each.src && !each.src.startsWith(base));
    if (isForeign) found.push(each.outerHTML.slice(0, 200));
  }
  return found;
}"""
# A text that reverses what follows it must not reach out of its own element.
_REVERSING = """(override) => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const it = walker.currentNode.parentElement;
    if (!walker.currentNode.data.includes(override) || !it.checkVisibility()) continue;
    const style = getComputedStyle(it);
    const isApart = /isolate|plaintext/.test(style.unicodeBidi) || style.display !== 'inline';
    if (!isApart) found.push(it.outerHTML.slice(0, 200));
  }
  return found;
}"""
_OF_A_KIND = 3  # that differ in numbers, or in what a query says
_LINKS = "() => [...document.querySelectorAll('a[href]')].map((each) => each.href)"


@pytest.fixture(scope="module")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, list[Any]]]:
    with opened(tmp_path_factory.mktemp("hostile")) as site:
        yield site, hostile.fill(site)


def must_be_harmless(window: Window) -> None:
    window.must_be_quiet()
    given = [window.site.base, looking.foreign(window)]
    assert window.page.evaluate(_INTRUDERS, given) == [], window.path
    assert window.page.evaluate(_REVERSING, hostile.OVERRIDE) == [], window.path


@WITH_AND_WITHOUT
def test_nothing_runs_or_leaves_on_any_page_that_links_lead_to(
    window: Windows, hostile_site: tuple[Site, list[Any]], script: bool
) -> None:
    site, links = hostile_site
    shown = window(site, script)
    codes = {f"/{link['short_code']}" for link in links}
    todo = [page.path for page in PAGES] + [f"/urls/{link['id']}/view" for link in links]
    todo += [f"{code}+" for code in codes]
    given, visited, seen = len(todo), 0, set(todo)
    kinds: Counter[str] = Counter()
    for path in islice(todo, _MOST_PAGES):  # it grows
        visited += 1
        if shown.open(path) and shown.page.locator("body").count() == 0:
            continue
        must_be_harmless(shown)
        for link in map(urlsplit, shown.page.evaluate(_LINKS)):
            target = f"{link.path}?{link.query}" if link.query else link.path
            if link.netloc != f"{site.host}:{site.port}" or target in seen:
                continue
            seen.add(target)
            kind = _kind(link)
            if kinds[kind] < _OF_A_KIND and _is_page(site, target):
                kinds[kind] += 1
                todo.append(target)
    assert visited > given


def _kind(link: SplitResult) -> str:
    names = sorted(name for name, _ in parse_qsl(link.query, keep_blank_values=True))
    return re.sub(r"\d+", "#", link.path) + "?" + ",".join(names)


def _is_page(site: Site, path: str) -> bool:
    reply = site.get(path, "HEAD", headers={"Accept": "text/html"})
    kind = reply.headers.get("Content-Type", "")
    return kind.startswith("text/html") and "attachment" not in reply.headers.get(
        "Content-Disposition", ""
    )


def test_nothing_runs_or_leaves_whatever_an_address_says(
    window: Windows, hostile_site: tuple[Site, list[Any]]
) -> None:
    site, _ = hostile_site
    shown = window(site)
    for path in hostile.paths():
        status = shown.open(path)
        assert status < 500, path
        if shown.page.locator("main").count():
            must_be_harmless(shown)
        shown.must_be_quiet(path)


def test_titles_are_shown_letter_by_letter(
    window: Windows, hostile_site: tuple[Site, list[Any]]
) -> None:
    site, links = hostile_site
    shown = window(site)
    for link, title in zip(links, hostile.TEXTS, strict=False):
        shown.open(f"/urls/{link['id']}/view")
        heading = shown.page.locator("h1").first.text_content() or ""
        assert " ".join(title.split()) in " ".join(heading.split())
        assert " ".join(title.split()) in shown.page.title()


def test_long_and_odd_texts_fit_into_every_window(
    window: Windows, hostile_site: tuple[Site, list[Any]]
) -> None:
    site, links = hostile_site
    shown = window(site)
    paths = [page.path for page in PAGES if page.status == 200]
    for path in [*paths, *(f"/urls/{link['id']}/view" for link in links)]:
        shown.open(path)
        looking.open_details(shown)
        looking.must_fit(shown)


def test_no_button_lets_anything_out(window: Windows, hostile_site: tuple[Site, list[Any]]) -> None:
    site, links = hostile_site
    shown = window(site)
    pressed: set[str] = set()
    for path in ("/", f"/urls/{links[1]['id']}/view", "/keys", "/import"):
        press_all(shown, partial(str, path), pressed)

"""Everything can be reached and used with a keyboard alone, and shows where the focus is."""

from __future__ import annotations

from typing import Any

from tests.browser import looking
from tests.browser.conftest import Windows
from tests.browser.pages import Page
from tests.browser.sites import Site
from tests.browser.test_pages import EVERY_PAGE
from tests.browser.watching import Window

# What has the focus: whether that can be seen, and whether anything lies above it.
_STEP = """(foreign) => {
  const it = document.activeElement;
  if (!it || it === document.body) return null;
  const isNew = !it.dataset.reached;
  it.dataset.reached = 'yes';
  const isPart = !isNew && it.type === 'datetime-local'; // of which the browser shows the part
  const style = getComputedStyle(it), box = it.getBoundingClientRect();
  const x = Math.min(Math.max(box.left + box.width / 2, 1), innerWidth - 1);
  const above = document.elementFromPoint(x, box.top + Math.min(box.height / 2, 20));
  return {
    html: it.outerHTML.slice(0, 150), isNew,
    closed: it.matches('summary') && !it.parentElement.open,
    outlined: style.outlineStyle === 'auto' || isPart || it.closest(foreign)
      || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2),
    seen: it.closest(foreign) || box.width > 0 && box.bottom > 0 && box.top < innerHeight
      && Boolean(above && (it.contains(above) || above.contains(it))),
  };
}"""
_LEFT_OUT = """(foreign) => {
  const all = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';
  const isReached = (each) => each.dataset.reached || (each.type === 'radio' && document
    .querySelector(`input[name="${CSS.escape(each.name)}"][data-reached]`));
  return [...document.querySelectorAll(all)]
    .filter((each) => each.checkVisibility() && !each.disabled && !each.closest(foreign))
    .filter((each) => !isReached(each)).map((each) => each.outerHTML.slice(0, 150));
}"""
_MOST_STEPS = 600


def _step(window: Window, key: str = "Tab") -> dict[str, Any] | None:
    window.page.keyboard.press(key)
    stop: dict[str, Any] | None = window.page.evaluate(_STEP, looking.foreign(window))
    return stop


@EVERY_PAGE
def test_tab_reaches_everything_and_the_focus_is_seen(
    window: Windows, open_site: Site, page: Page
) -> None:
    shown = window(open_site)
    shown.open(page.path)
    without_news = 0
    for _ in range(_MOST_STEPS):
        stop = _step(shown)
        without_news = 0 if stop and stop["isNew"] else without_news + 1
        if stop:
            assert stop["outlined"], stop
            assert stop["seen"], stop
        if stop and stop["closed"]:
            shown.page.keyboard.press("Enter")
        if without_news > 12:  # a field for a moment has as many parts
            break
    assert shown.page.evaluate(_LEFT_OUT, looking.foreign(shown)) == []
    shown.must_be_quiet()


def test_the_first_stop_leads_past_the_menu(window: Windows, open_site: Site) -> None:
    shown = window(open_site)
    shown.open("/keys/session")
    assert shown.page.locator("main :focus").count() == 0
    stop = _step(shown)
    assert stop is not None
    assert "#main" in stop["html"]
    shown.page.keyboard.press("Enter")
    _step(shown)
    assert shown.page.locator("main :focus").count() == 1

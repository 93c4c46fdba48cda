"""Presses every button of a page, each on a page that is fresh."""

from __future__ import annotations

import time
from collections.abc import Callable

from testkit.webserver import ROOT
from tests.browser import looking
from tests.browser.sites import OWN_KEY
from tests.browser.watching import Window

# Buttons of one kind have one name, also when they stand in many rows.
_NAMES = """(own) => {
  const found = {};
  for (const each of document.querySelectorAll('button, input[type=submit], [role=button]')) {
    const row = each.closest('tr, li, article');
    if (!each.checkVisibility() || each.disabled || row?.textContent.includes(own)) continue;
    const form = each.form;
    const name = [form ? form.getAttribute('method') + ' ' + form.getAttribute('action') : '',
      each.name, each.name ? each.value : '', each.textContent].join(' ')
      .replace(/\\d+/g, '#').replace(/\\s+/g, ' ').trim();
    if (!(name in found)) { found[name] = true; each.dataset.pressing = name; }
  }
  return Object.keys(found);
}"""
_FILL = """(name) => {
  const form = document.querySelector(`[data-pressing="${CSS.escape(name)}"]`).form;
  const values = { url: 'https://example.com/pressed', number: '7', email: 'a@example.com',
    'datetime-local': '2035-01-31T12:00', date: '2035-01-31' };
  for (const each of form ? form.elements : []) {
    if (each.required && !each.value && each.type !== 'file') {
      each.value = each.name === 'url' || each.name === 'original_url'
        ? values.url : values[each.type] || 'pressed';
    }
  }
  return Boolean(form) && form.checkValidity();
}"""
_SETTLES_SECONDS = 1.5


def buttons(window: Window) -> list[str]:
    """The names of the buttons of the page that is open."""
    looking.open_details(window)
    found: list[str] = window.page.evaluate(_NAMES, OWN_KEY)
    return found


def press_all(window: Window, fresh: Callable[[], str], wrong: tuple[int, ...]) -> list[str]:
    """Presses each button on a page that `fresh` gives the path of; returns their names.

    No answer may have a status in `wrong`.
    """
    window.open(fresh())
    names = buttons(window)
    for name in names:
        window.open(fresh())
        assert name in buttons(window)
        _press(window, name)
        statuses = {each.status for each in window.loaded}
        assert statuses.isdisjoint(wrong), (name, statuses, window.path)
        window.must_be_quiet(name)
    return names


def _press(window: Window, name: str) -> None:
    shown: list[object] = []
    window.page.once("load", lambda: shown.append(window.path))
    file = window.page.locator("input[type=file]")
    if file.count():
        file.set_input_files(ROOT / "tests" / "imports" / "foreign" / "bitly.csv")
    submits = window.page.evaluate(_FILL, name)
    window.page.locator(f'[data-pressing="{name}"]').click()
    deadline = time.monotonic() + _SETTLES_SECONDS
    while submits and not shown and time.monotonic() < deadline:
        window.page.wait_for_timeout(20)
    window.page.wait_for_timeout(30)

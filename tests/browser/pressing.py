"""Presses every button of a page, each on a page that is fresh."""

from __future__ import annotations

from collections.abc import Callable

from testkit.servers import wait_for
from testkit.webserver import ROOT
from tests.browser import looking
from tests.browser.sites import OWN_KEY
from tests.browser.watching import Window

# Buttons of one kind have one name, also when they stand in many rows.
_NAMES = """([own, foreign]) => {
  const found = {};
  for (const each of document.querySelectorAll('button, input[type=submit], [role=button]')) {
    const form = each.form, row = each.closest('tr, li, article');
    if (!each.checkVisibility() || each.disabled || each.closest(foreign)) continue;
    const isOfKey = form?.getAttribute('action')?.startsWith('/keys/');
    if (isOfKey && row?.textContent.includes(own)) continue;
    const name = [form ? form.getAttribute('method') + ' ' + form.getAttribute('action') : '',
      each.name, each.name ? each.value : '', each.textContent].join(' ')
      .replace(/\\d+/g, '#').replace(/\\s+/g, ' ').trim();
    if (!(name in found)) { found[name] = true; each.dataset.pressing = name; }
  }
  return Object.keys(found);
}"""
_FILL = """([name, script]) => {
  const button = document.querySelector(`[data-pressing="${CSS.escape(name)}"]`);
  button.dataset.pressed = 'yes';
  const form = button.form;
  const values = { url: 'https://example.com/pressed', number: '7', email: 'a@example.com',
    'datetime-local': '2035-01-31T12:00', date: '2035-01-31' };
  for (const each of form ? form.elements : []) {
    if (each.required && !each.value && each.type !== 'file') {
      each.value = each.name === 'url' || each.name === 'original_url'
        ? values.url : values[each.type] || 'pressed';
    }
  }
  const waits = script && form && form.dataset.undo !== undefined;
  return Boolean(form) && button.type === 'submit' && form.checkValidity() && !waits;
}"""
_ASKS_FOR_KEY = "post /keys/session Sign in"
_REFUSALS = {401, 403, 404, 405, 413, 415}


def buttons(window: Window) -> list[str]:
    """The names of the buttons of the page that is open."""
    looking.open_details(window)
    found: list[str] = window.page.evaluate(_NAMES, [OWN_KEY, looking.foreign(window)])
    return found


def press_all(window: Window, fresh: Callable[[], str], pressed: set[str]) -> None:
    """Presses each button on a page that `fresh` gives the path of, and adds its name to `pressed`.

    Those that were pressed before are left out: they are on many pages. None may be refused.
    """
    window.open(fresh())
    for name in buttons(window):
        if name in pressed:
            continue
        pressed.add(name)
        window.open(fresh())
        assert name in buttons(window)
        window.loaded.clear()
        _press(window, name)
        statuses = {each.status for each in window.loaded}
        refused = statuses & _REFUSALS - ({401} if name.startswith(_ASKS_FOR_KEY) else set())
        assert not refused, (name, statuses, window.path)
        window.must_be_quiet(name)


def _press(window: Window, name: str) -> None:
    shown: list[object] = []
    window.page.once("load", lambda: shown.append(window.path))
    file = window.page.locator("input[type=file]")
    if file.count():
        file.set_input_files(ROOT / "tests" / "imports" / "foreign" / "bitly.csv")
    submits = window.page.evaluate(_FILL, [name, window.script])
    window.page.locator("[data-pressed]").click()
    if submits:
        wait_for(lambda: shown or _has_answer(window), what=f"an answer to {name}")
    window.page.wait_for_timeout(30)


def _has_answer(window: Window) -> bool:
    """Whether a script has sent the form; what it is told, it shows at once."""
    window.page.wait_for_timeout(20)
    return any(each.request.resource_type in ("xhr", "fetch") for each in window.loaded)

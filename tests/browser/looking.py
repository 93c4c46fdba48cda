"""What tests ask of a page that is shown: does it fit, is it accessible, what can be pressed."""

from __future__ import annotations

from tests.browser.watching import Window

WIDTHS = (320, 390, 1280, 2560)
_STANDARDS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")

_FOREIGN = {"/docs/try": "#swagger-ui"}

# What stands out at the right or is cut off there, unless a frame of its own scrolls it.
_MISFITS = """() => {
  const found = [], width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) found.push(`the page is ${
    document.documentElement.scrollWidth} px wide, the window ${width}`);
  for (const each of document.body.querySelectorAll('*')) {
    const box = each.getBoundingClientRect();
    const unseen = !each.checkVisibility() || each.closest('.skip, .unseen, .scroll');
    if (unseen || each.ownerSVGElement || box.width === 0) continue;
    const cut = each.localName !== 'input' && each.clientWidth > 0
      && each.scrollWidth > each.clientWidth + 1
      && ['hidden', 'clip'].includes(getComputedStyle(each).overflowX);
    if (box.right > width + 1 || box.left < -1 || cut) {
      found.push(`${each.outerHTML.slice(0, 120)} from ${box.left} to ${box.right}`);
    }
  }
  return found;
}"""
_AXE = """async ([tags, foreign]) => {
  const result = await axe.run({ include: document, exclude: [foreign] },
    { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] });
  return result.violations.map((each) => `${each.id}: ${each.help}: ${
    each.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 150)} ${node.failureSummary}`)
      .join(' | ')} (${each.nodes.length})`.replace(/\\s+/g, ' '));
}"""


def foreign(window: Window) -> str:
    """Selects what is not ours in the page: Swagger UI, which has faults of its own."""
    return _FOREIGN.get(window.path, ":not(*)")


def must_fit(window: Window, where: object = "") -> None:
    """In windows of every width, and with letters of twice the size on a phone and a desk."""
    for width in WIDTHS:
        window.page.set_viewport_size({"width": width, "height": 900})
        _must_fit(window, (where, width))
    window.page.evaluate("document.documentElement.style.fontSize = '200%'")
    for width in (390, 1280):
        window.page.set_viewport_size({"width": width, "height": 900})
        _must_fit(window, (where, width, "200 %"))
    window.page.evaluate("document.documentElement.style.fontSize = ''")
    window.page.set_viewport_size({"width": 1280, "height": 900})


def _must_fit(window: Window, where: object) -> None:
    misfits = window.page.evaluate(_MISFITS)
    assert not misfits, "\n".join((f"{where} {window.path} does not fit:", *misfits))


def must_be_accessible(window: Window, axe: str, where: object = "") -> None:
    """axe-core finds nothing."""
    window.page.evaluate(axe)
    found = window.page.evaluate(_AXE, [_STANDARDS, foreign(window)])
    assert not found, "\n".join((f"{where} {window.path}:", *found))


def open_details(window: Window) -> None:
    """Shows what waits behind a summary."""
    window.page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")


def weight(window: Window) -> tuple[int, int]:
    """How many requests the page has made, and the bytes of all answers, not compressed."""
    return len(window.loaded), sum(len(each.body()) for each in window.loaded)

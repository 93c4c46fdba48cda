"""What people do with /docs in a browser: try requests, copy examples, keep the bookmarklet."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Windows
from tests.browser.sites import Site


def test_a_request_is_tried_with_a_key_and_nothing_else_is_asked(
    window: Windows, guarded_site: Site
) -> None:
    shown = window(guarded_site)
    page = shown.page
    shown.open("/docs/try")
    page.get_by_role("button", name="Authorize").click()
    bearer = page.locator(".auth-container", has=page.get_by_label("auth-bearer-value"))
    bearer.get_by_label("auth-bearer-value").fill(guarded_site.keys["read"])
    bearer.get_by_role("button", name="Apply credentials").click()
    page.locator(".close-modal").click()
    operation = page.locator("#operations-urls-list_urls")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_have_text("200")
    shown.must_be_quiet()


def test_an_example_is_copied_as_it_is_shown(window: Windows, open_site: Site) -> None:
    shown = window(open_site, permissions=["clipboard-read", "clipboard-write"])
    shown.open("/docs/urls")
    endpoint = shown.page.locator("#create_url")
    endpoint.get_by_role("button", name="Copy").first.click()
    expect(endpoint.get_by_text("Copied")).to_be_visible()
    text = endpoint.locator("code[data-language=curl]").text_content()
    assert shown.page.evaluate("navigator.clipboard.readText()") == text
    assert text is not None
    assert text.startswith(f"curl {open_site.base}/urls")
    shown.must_be_quiet()


def test_the_bookmarklet_runs_on_other_pages_and_not_on_ours(
    window: Windows, open_site: Site
) -> None:
    shown = window(open_site)
    page = shown.page
    shown.open("/docs")
    link = page.get_by_role("link", name="Shorten this page")
    link.click()
    assert page.url == f"{open_site.base}/docs"
    assert len(shown.context.pages) == 1
    [fault] = shown.faults
    assert "violates" in fault  # the policy lets no address run
    script = (link.get_attribute("href") or "").removeprefix("javascript:")
    shown.open("/status")
    with page.expect_popup() as popup:
        page.evaluate(script)
    form = popup.value
    expect(form.get_by_label("URL", exact=True)).to_have_value(f"{open_site.base}/status")
    expect(form.get_by_label("Title")).to_have_value("Status · Holdfast")

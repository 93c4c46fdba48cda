"""What people come for, step by step, as they would do it."""

from __future__ import annotations

import re
import time
from pathlib import Path

from playwright.sync_api import expect

from testkit.servers import wait_for
from testkit.webserver import ROOT
from tests.browser.conftest import Windows
from tests.browser.sites import Site
from tests.browser.test_pages import WITH_AND_WITHOUT

BITLY = ROOT / "tests" / "imports" / "foreign" / "bitly.csv"


@WITH_AND_WITHOUT
def test_from_the_first_page_to_a_counted_and_charted_click(
    window: Windows, open_site: Site, script: bool
) -> None:
    shown = window(open_site, script)
    page = shown.page
    shown.open("/")
    page.keyboard.type("https://example.com/a/long/address")  # the field has the focus
    page.keyboard.press("Enter")
    made = page.get_by_role("status")
    short = made.get_by_role("link").first
    expect(short).to_have_text(re.compile(rf"^{re.escape(open_site.base)}/\w+$"))
    expect(made.locator("svg")).to_be_visible()

    shown.may_lead_to = "https://example.com/a/long/address"
    with page.expect_event("requestfailed") as left:  # Chromium knows no such host
        short.click()
    assert left.value.url == shown.may_lead_to
    page.wait_for_url("chrome-error://**")

    page.go_back()
    made.get_by_role("link", name="Clicks and settings").click()
    expect(page.locator("main")).to_contain_text(re.compile(r"people", re.IGNORECASE))
    chart = page.locator("svg.chart")
    expect(chart).to_be_visible()
    expect(page.locator("main .figures").first).to_contain_text(
        re.compile(r"people\s*1", re.IGNORECASE)
    )
    shown.must_be_quiet()


def test_a_short_link_is_copied_with_one_press(window: Windows, open_site: Site) -> None:
    shown = window(open_site, permissions=["clipboard-read", "clipboard-write"])
    shown.open("/?made=autumn")
    button = shown.page.get_by_role("status").get_by_role("button", name="Copy")
    button.click()
    expect(shown.page.get_by_role("status").get_by_text("Copied")).to_be_visible()
    copied = shown.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{open_site.base}/autumn"


@WITH_AND_WITHOUT
def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
    window: Windows, open_site: Site, script: bool
) -> None:
    shown = window(open_site, script)
    page = shown.page
    shown.open("/")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("URL", exact=True).fill("https://example.com/")
    page.get_by_label("Short code").fill("autumn")
    page.get_by_label("Title").fill("Kept")
    page.get_by_role("button", name="Shorten").click()
    field = page.locator("[aria-invalid=true]")
    expect(field).to_have_count(1)
    expect(field).to_have_attribute("name", "short_code")
    note = page.locator(f"#{field.get_attribute('aria-describedby')}")
    expect(note).to_be_visible()
    expect(page.get_by_label("Title")).to_have_value("Kept")
    shown.must_be_quiet()


def test_the_list_is_searched_while_one_types(window: Windows, open_site: Site) -> None:
    shown = window(open_site)
    shown.open("/")
    shown.page.get_by_label("Search").press_sequentially("router")
    expect(shown.page.locator("#list li")).to_have_count(1)
    expect(shown.page).to_have_url(re.compile("q=router"))
    shown.page.get_by_label("Search").fill("")
    expect(shown.page.locator("#list li")).not_to_have_count(1)
    shown.must_be_quiet()


def test_without_script_the_list_is_searched_with_a_button(
    window: Windows, open_site: Site
) -> None:
    shown = window(open_site, script=False)
    shown.open("/")
    shown.page.get_by_label("Search").fill("router")
    shown.page.get_by_role("button", name="Search").click()
    expect(shown.page.locator("#list li")).to_have_count(1)
    shown.must_be_quiet()


def test_an_address_that_is_given_fills_the_form(window: Windows, open_site: Site) -> None:
    shown = window(open_site)
    shown.open("/?url=https%3A%2F%2Fexample.com%2Fgiven&title=Given")
    expect(shown.page.get_by_label("URL", exact=True)).to_have_value("https://example.com/given")
    expect(shown.page.get_by_label("Title")).to_have_value("Given")


@WITH_AND_WITHOUT
def test_signing_in_and_out(window: Windows, guarded_site: Site, script: bool) -> None:
    shown = window(guarded_site, script)
    page = shown.page
    shown.open("/urls/1/view")
    page.get_by_label("API key").fill("holdfast_wrong")
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.locator("[aria-invalid=true]")).to_be_visible()
    page.get_by_label("API key").fill(guarded_site.keys["read"])
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    [cookie] = [each for each in shown.context.cookies() if each["name"] == "holdfast_session"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    assert 6 < (cookie["expires"] - time.time()) / 86400 <= 7
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    assert shown.open("/urls/1/view") == 401
    shown.must_be_quiet()


def test_the_second_page_is_in_the_zone_of_the_browser(window: Windows, open_site: Site) -> None:
    shown = window(open_site, timezone_id="Asia/Tokyo")
    page = shown.page.locator("html")
    shown.open("/")
    expect(page).to_have_attribute("data-zone", "UTC")
    shown.open("/urls/10/view")
    expect(page).to_have_attribute("data-zone", "Asia/Tokyo")
    shown.must_be_quiet()


@WITH_AND_WITHOUT
def test_a_link_is_turned_off_and_on_again(window: Windows, open_site: Site, script: bool) -> None:
    made = open_site.new_link(title=f"Switched {script}")
    shown = window(open_site, script)
    shown.open("/")
    row = shown.page.locator("#list li").filter(has_text=made["short_code"])
    row.get_by_role("button", name="Turn off").click()
    expect(row.get_by_role("button", name="Turn on")).to_be_visible()
    assert open_site.follow(made["short_code"]) == 410
    row.get_by_role("button", name="Turn on").click()
    expect(row.get_by_role("button", name="Turn off")).to_be_visible()
    assert open_site.follow(made["short_code"]) == 302
    shown.must_be_quiet()


def test_a_deleted_link_stays_when_undo_is_pressed_within_ten_seconds(
    window: Windows, open_site: Site
) -> None:
    made = open_site.new_link()
    shown = window(open_site, own=True)  # the clock stays
    shown.page.clock.install()
    shown.open(f"/urls/{made['id']}/view")
    for presses_undo in (True, False):
        shown.page.get_by_role("button", name="Delete").click()
        shown.page.clock.run_for(5_000)
        assert open_site.follow(made["short_code"]) == 302
        if presses_undo:
            shown.page.get_by_role("button", name="Undo").click()
        shown.page.clock.run_for(6_000)
    shown.page.wait_for_url(f"{open_site.base}/**")
    wait_for(lambda: open_site.follow(made["short_code"]) == 404)
    shown.must_be_quiet()


def test_without_script_a_page_asks_before_a_link_is_deleted(
    window: Windows, open_site: Site
) -> None:
    made = open_site.new_link()
    shown = window(open_site, script=False)
    shown.open(f"/urls/{made['id']}/view")
    shown.page.get_by_role("button", name="Delete").click()
    assert open_site.follow(made["short_code"]) == 302
    shown.page.get_by_role("button", name="Delete for good").click()
    assert open_site.follow(made["short_code"]) == 404
    shown.must_be_quiet()


@WITH_AND_WITHOUT
def test_from_an_export_of_bitly_to_links_that_work_and_back(
    window: Windows, open_site: Site, script: bool, tmp_path: Path
) -> None:
    code = f"spring-{'with' if script else 'without'}-script"
    file = tmp_path / "bitly.csv"
    text = BITLY.read_text().replace("/spring", f"/{code}").replace("3xYz", f"{code}2")
    file.write_text(f"{text},https://bit.ly/bad!code,https://example.com/,1577934245,,7\n")
    shown = window(open_site, script)
    page = shown.page
    shown.open("/")
    page.get_by_role("link", name="Import").click()
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_label("Exported by").select_option(label="Bitly")
    page.get_by_role("button", name="Check the file").click()
    report = page.locator("#report")
    expect(report.get_by_role("heading", level=2)).to_have_text(re.compile("would make 2 links"))
    bad = report.get_by_role("row").filter(has_text="short_code: must be")
    expect(bad.get_by_role("cell", name="4", exact=True)).to_be_visible()
    assert open_site.follow(code) == 404
    if not script:
        page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Import 2 links").click()
    expect(report.get_by_role("heading", level=2)).to_have_text("Imported: 2 new links")
    assert open_site.follow(code) == 302
    report.get_by_text("Undo").click()
    report.get_by_role("button", name="Delete 2 links").click()
    expect(page.get_by_role("status").filter(has_text="undone")).to_be_visible()
    assert open_site.follow(code) == 404
    shown.must_be_quiet()


def test_a_key_is_made_shown_once_and_revoked(window: Windows, guarded_site: Site) -> None:
    shown = window(guarded_site)
    page = shown.page
    shown.sign_in(guarded_site.keys["admin"])
    page.get_by_role("link", name="Keys").click()
    page.get_by_label("Name").fill("made in a browser")
    page.get_by_role("button", name="Make the key").click()
    secret = page.get_by_role("status").inner_text()
    auth = {"Authorization": f"Bearer {secret}"}
    assert guarded_site.get("/urls", headers=auth).status in (200, 403)
    shown.open("/keys")
    assert secret not in page.content()
    page.get_by_text("Change made in a browser").click()
    page.get_by_role("button", name="Revoke made in a browser").click()
    wait_for(lambda: guarded_site.get("/urls", headers=auth).status == 401)
    shown.must_be_quiet()

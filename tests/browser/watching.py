"""A browser window that notes whatever no page of ours may do."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Response,
    ViewportSize,
)

from tests.browser import sample
from tests.browser.sites import Site

HANGS_MILLISECONDS = 30_000
DESK: ViewportSize = {"width": 1280, "height": 900}
_LOADING_FAILED = "Failed to load resource: the server responded with a status of 4"


class Window:
    """One browser profile with one page: `faults` has what it must not do, `loaded` its requests.

    Requests to other servers never leave, since Chromium knows no name of any; they are faults.
    """

    def __init__(self, browser: Browser, site: Site, script: bool = True, **more: Any) -> None:
        self.site = site
        self.script = script
        self.faults: list[str] = []
        self.loaded: list[Response] = []
        self.may_lead_to = ""  # the one address elsewhere that a link may lead to
        self.context = browser.new_context(
            **{
                "base_url": site.base,
                "java_script_enabled": script,
                "service_workers": "block",
                "user_agent": sample.CHROME,
                "locale": "en-GB",
                "timezone_id": "UTC",
                "viewport": DESK,
                "reduced_motion": "reduce",
                **more,
            }
        )
        self.context.set_default_timeout(HANGS_MILLISECONDS)
        self._watch(self.context)
        self.page: Page = self.context.new_page()

    def _watch(self, context: BrowserContext) -> None:
        context.on("console", self._note_message)
        context.on("dialog", self._note_dialog)
        context.on("weberror", lambda error: self.faults.append(f"script error: {error.error}"))
        context.on("request", self._note_request)
        context.on("response", self._note_response)

    def _note_message(self, message: ConsoleMessage) -> None:
        # A page of an error is said once more on the console.
        if message.type == "error" and not message.text.startswith(_LOADING_FAILED):
            self.faults.append(f"console: {message.text} ({message.location.get('url')})")

    def _note_dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note_response(self, response: Response) -> None:
        self.loaded.append(response)
        # A script shows what a form was refused for, as the page of the answer does.
        is_page = response.request.resource_type in ("document", "xhr")
        if response.status >= 500 or (response.status >= 400 and not is_page):
            self.faults.append(f"{response.status} of {response.url}")

    def _note_request(self, request: Request) -> None:
        is_away = not request.url.startswith((f"{self.site.base}/", "blob:"))
        if is_away and request.url != self.may_lead_to:
            self.faults.append(f"a request to {request.url}")

    def open(self, path: str) -> int:
        """Goes there as by the address bar; returns the status."""
        self.loaded.clear()
        response = self.page.goto(path, wait_until="load")
        assert response is not None
        return response.status

    def sign_in(self, secret: str) -> None:
        self.open("/keys/session")
        self.page.get_by_label("API key").fill(secret)
        self.page.locator("main").get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.site.base}/")

    def must_be_quiet(self, where: object = "") -> None:
        assert not self.faults, "\n".join((f"{where} {self.path}:", *self.faults))

    @property
    def path(self) -> str:
        parts = urlsplit(self.page.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def clear(self) -> None:
        """As it was at first, but for its memory of style sheets."""
        self.page.goto("about:blank")
        self.context.clear_cookies()
        self.page.set_viewport_size(DESK)
        self.page.emulate_media(color_scheme="light")
        self.may_lead_to = ""
        self.faults.clear()
        self.loaded.clear()

    def close(self) -> None:
        self.context.close()

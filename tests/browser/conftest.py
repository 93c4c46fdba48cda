"""Chromium, once for all tests, and the servers that it visits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from testkit.webserver import ROOT
from tests.browser.sites import Site, opened
from tests.browser.watching import HANGS_MILLISECONDS, Window

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
Windows = Callable[..., Window]
expect.set_options(timeout=HANGS_MILLISECONDS)  # a busy machine answers late


def _program() -> str:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    assert found, "Chromium is not installed: apt-get install chromium fonts-dejavu-core"
    return found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; it knows one family of fonts, wherever it runs."""
    fonts = str(ROOT / "tests" / "browser" / "fonts.conf")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_program(),
            args=list(_ARGUMENTS),
            env={**os.environ, "FONTCONFIG_FILE": fonts},
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    return (ROOT / "var" / "browser" / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="session")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that asks for no key."""
    with opened(tmp_path_factory.mktemp("open")) as site:
        yield site


@pytest.fixture(scope="session")
def guarded_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with AUTH=on, and a key of each scope."""
    with opened(tmp_path_factory.mktemp("guarded"), AUTH="on") as site:
        yield site


@pytest.fixture(scope="session")
def pressed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Another one that asks for no key: buttons change what it has."""
    with opened(tmp_path_factory.mktemp("pressed")) as site:
        yield site


@pytest.fixture(scope="session")
def pressed_guarded_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Another one with AUTH=on."""
    with opened(tmp_path_factory.mktemp("pressed_guarded"), AUTH="on") as site:
        yield site


@pytest.fixture(scope="session")
def still_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that nobody changes, at an address that is always the same."""
    with opened(tmp_path_factory.mktemp("still"), BASE_URL="https://go.example.com") as site:
        yield site


@pytest.fixture(scope="session")
def windows(chromium: Browser) -> Iterator[dict[tuple[str, bool], Window]]:
    """Windows that stay open for the next test."""
    kept: dict[tuple[str, bool], Window] = {}
    yield kept
    for each in kept.values():
        each.close()


@pytest.fixture
def window(chromium: Browser, windows: dict[tuple[str, bool], Window]) -> Iterator[Windows]:
    """Opens a window: one that is as new, or one of the test's own, with options."""
    made: list[Window] = []

    def open_window(site: Site, script: bool = True, own: bool = False, **more: Any) -> Window:
        if own or more:
            made.append(Window(chromium, site, script, **more))
            return made[-1]
        place = (site.base, script)
        if place not in windows:
            windows[place] = Window(chromium, site, script)
        windows[place].clear()
        return windows[place]

    yield open_window
    for each in made:
        each.close()

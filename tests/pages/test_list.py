"""The list of pages, which the tests in a browser walk through, has all of them."""

from __future__ import annotations

from flask import Flask

from tests.browser.pages import ELSEWHERE, NO_PAGES, PAGES


def test_every_page_is_in_the_list(app: Flask) -> None:
    replaced = app.extensions["holdfast-pages"]
    rules = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ())
        and (app.view_functions[rule.endpoint].declaration.page or rule.endpoint in replaced)
    }
    assert {page.rule for page in PAGES} - ELSEWHERE == rules - NO_PAGES

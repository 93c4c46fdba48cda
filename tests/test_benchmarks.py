"""The table of `make bench-endpoints`: no endpoint is forgotten, every request is answered."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest
from flask import Flask

from benchmarks import endpoints, guesses
from benchmarks.cases import CASES, Row

UNMEASURED = {
    # Files and pages that are the same for everybody.
    "GET /assets/<name>",
    "GET /favicon.ico",
    "GET /docs/try",
    "GET /keys/new",
    # Forms whose work is an endpoint's: POST /shorten, /urls/import, PATCH /urls, and of keys.
    "POST /urls/new",
    "POST /import",
    "POST /import/<id:import_id>/undo",
    "POST /keys/new",
    "GET /keys/<id:key_id>/view",
    "POST /keys/<id:key_id>/view",
    # Signing in, once a session.
    "GET /keys/session",
    "POST /keys/session",
    "POST /keys/session/end",
}
"""Routes of pages, never of the API."""


def routes_of(app: Flask, of_pages: bool) -> set[str]:
    automatic, found = {"HEAD", "OPTIONS"}, set()
    for rule in app.url_map.iter_rules():
        if app.view_functions[rule.endpoint].declaration.hidden is of_pages:
            found |= {f"{method} {rule}" for method in (rule.methods or set()) - automatic}
    return found


def test_every_route_is_measured_but_the_named_ones_of_pages(app: Flask) -> None:
    measured = {case.route for case in CASES if case.route}
    pages = routes_of(app, of_pages=True)
    assert pages >= UNMEASURED
    assert measured == routes_of(app, of_pages=False) | (pages - UNMEASURED)


def test_the_first_page_is_measured_as_a_page_too() -> None:
    first = {case.accept for case in CASES if case.path == "/"}
    assert first == {"*/*", "text/html"}


def test_no_two_cases_have_the_same_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_no_two_requests_of_any_cases_have_the_same_new_name() -> None:
    rows = [Row(number, case, {}) for number in range(12) for case in range(12)]
    assert len({row.fill("$new") for row in rows}) == len(rows)


MOST_STATEMENTS = {
    "GET /<code>, cached": 0,
    "GET /<code>, not cached": 1,
    "GET /products, cached": 0,
    "GET /nowhere": 0,
    "GET /health": 1,  # shared by those who ask at the same time
    "GET /users": 1,
    "GET /users/<id>": 1,
    "POST /users": 1,
    "PUT /users/<id>": 1,
    "GET /urls/<id>": 1,
    "GET /urls?user_id=": 1,
    "POST /urls": 2,
    "POST /shorten": 2,
    "PUT /urls/<id>": 4,
    "PUT /urls/<id>, no change": 2,
    "DELETE /urls/<id>": 4,
    "GET /events": 1,
    "POST /events": 1,
    "DELETE /events/<id>": 2,
}
"""Round trips to PostgreSQL, BEGIN and COMMIT among them, that one request may take."""


@pytest.mark.services
def test_each_case_is_measured_beside_flask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "ROUNDS", 1)
    monkeypatch.setattr(endpoints, "REQUESTS", 8)
    with ExitStack() as cleanup:
        measured = {each.case.name: each for each in endpoints.measure(CASES, cleanup)}
    assert measured.keys() == {case.name for case in CASES}
    for name, most in MOST_STATEMENTS.items():
        kinds = Counter(measured[name].statements)
        assert measured[name].counts.statements <= most, (name, kinds)
    assert all(each.line().startswith(name) for name, each in measured.items())


GUESSES = guesses.Guesses(60, 900, 0, 0, 1_000_000)


@pytest.mark.parametrize(
    ("p99", "failed", "told", "why"),
    [
        (2.0, 0, GUESSES, []),
        (2.1, 0, GUESSES, ["a median above 2"]),
        (1.0, 1, GUESSES, ["redirects failed"]),
        (1.0, 0, GUESSES._replace(other=1), ["other than 404 or 429"]),
        (1.0, 0, GUESSES._replace(refused=0, refused_by_nginx=900), ["none refused"]),
    ],
)
def test_redirects_beside_guesses_fail_for_what_must_not_be(
    p99: float, failed: int, told: guesses.Guesses, why: list[str]
) -> None:
    alone = guesses.Phase("alone", 0.5, 1.0, 100, 0, None, {})
    guessed = alone._replace(name="guessed", p99=p99, failed=failed, guesses=told)
    assert guesses.failures([[alone, guessed]]) == [f"guessed: {each}" for each in why]

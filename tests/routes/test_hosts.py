"""Hosts that no new link may lead to: private, blocked, not allowed or banned ones."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.imports import importing
from app.redirects.bans import bans
from app.services import hosts
from tests.answers import check
from tests.conftest import Api

Bound = Callable[..., Api]
GOOD, BAD = "https://example.com/", "https://a.EVIL.example./x"
WHY = "leads to a host that is blocked"


@pytest.fixture
def blocking(bound: Bound, tmp_path: Path) -> Api:
    file = tmp_path / "blocked.txt"
    file.write_text("evil.example\nb\xfccher.example\n")
    return bound(blocked_hosts=str(file))


def _put(api: Api, field: str, address: str) -> Any:
    return api.client.put(f"/urls/{api.url()['id']}", json={field: address})


WRITES: dict[str, tuple[str, Callable[[Api, str], Any]]] = {
    "POST /urls": (
        "original_url",
        lambda api, bad: api.client.post("/urls", json={"original_url": bad}),
    ),
    "POST /urls, other name": ("url", lambda api, bad: api.client.post("/urls", json={"url": bad})),
    "POST /urls, after its end": (
        "expired_url",
        lambda api, bad: api.client.post("/urls", json={"original_url": GOOD, "expired_url": bad}),
    ),
    "POST /shorten": ("url", lambda api, bad: api.client.post("/shorten", json={"url": bad})),
    "POST /urls/bulk": (
        "urls[0].original_url",
        lambda api, bad: api.client.post("/urls/bulk", json={"urls": [{"original_url": bad}]}),
    ),
    "PUT /urls": ("original_url", lambda api, bad: _put(api, "original_url", bad)),
    "PUT /urls, after its end": ("expired_url", lambda api, bad: _put(api, "expired_url", bad)),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_blocked_host_is_refused_and_the_field_named(blocking: Api, write: str) -> None:
    field, ask = WRITES[write]
    response = ask(blocking, BAD)
    assert response.status_code == 400
    assert response.get_json()["errors"] == {field: WHY}


@pytest.mark.parametrize(
    "address",
    [
        "http://evil.example",
        "HTTPS://user:p@EVIL.EXAMPLE.:8443/",
        "http://\uff45vil\u3002example/",
        "https://b\xfccher.example/",
        "https://xn--bcher-kva.example/",
        "https://a.B\xdcCHER.example./",
    ],
    ids=ascii,
)
def test_every_spelling_of_a_blocked_host_is_refused(blocking: Api, address: str) -> None:
    check(blocking.client.post("/urls", json={"original_url": address}), 400)


def test_other_hosts_are_not_blocked(blocking: Api) -> None:
    for address in (GOOD, "https://notevil.example/", "https://example.com/evil.example"):
        blocking.url(address)


@pytest.mark.parametrize(
    ("auth", "choice", "status"),
    [
        ("off", "", 201),
        ("off", "refuse", 400),
        ("on", "", 400),
        ("create", "", 400),
        ("on", "allow", 201),
    ],
)
def test_private_destinations_are_refused_where_keys_are_asked_for(
    bound: Bound, auth: str, choice: str, status: int
) -> None:
    api = bound(auth=auth, private_destinations=choice)
    response = check(api.client.post("/shorten", json={"url": "http://0x7f.1/"}), status)
    if status == 400:
        assert response.get_json()["errors"] == {"url": "must not lead to a private address"}


def test_with_a_list_of_allowed_hosts_others_are_refused(bound: Bound, tmp_path: Path) -> None:
    file = tmp_path / "allowed.txt"
    file.write_text("example.com\n")
    api = bound(allowed_hosts=str(file))
    api.url("https://www.example.com/")
    response = check(api.client.post("/urls", json={"original_url": "https://other.example/"}), 400)
    assert response.get_json()["errors"] == {"original_url": "leads to a host that is not allowed"}


ROWS = f"short_code,original_url,expired_url\ngood,{GOOD},\nbad,https://evil.example/,\n"
ROWS += f"worse,{GOOD},http://a.evil.example/\nodd,{BAD},\n"


def test_an_import_reports_blocked_hosts_as_bad_rows(blocking: Api) -> None:
    data = {"file": (BytesIO(ROWS.encode()), "urls.csv")}
    answer = check(blocking.client.post("/urls/import", data=data), 201).get_json()
    assert (answer["created"], answer["failed"]) == (1, 3)
    assert [(row["line"], row["error"]) for row in answer["errors"]] == [
        (3, f"original_url: {WHY}"),
        (4, f"expired_url: {WHY}"),
        (5, f"original_url: {WHY}"),
    ]


def test_a_file_that_is_loaded_is_checked_too(blocking: Api, tmp_path: Path) -> None:
    (tmp_path / "urls.csv").write_text(ROWS)
    report = importing.load([str(tmp_path / "urls.csv")])
    assert [bad.line for bad in report.files[0].errors] == [3, 4, 5]


def test_a_banned_host_is_refused(client: FlaskClient, api: Api) -> None:
    api.url("https://evil.example/before")
    hosts.ban("evil.example", "phishing")
    bans.forget()  # or a second later
    response = check(client.post("/urls", json={"original_url": BAD}), 400)
    assert response.get_json()["errors"] == {"original_url": "leads to a host that is banned"}
    api.url(GOOD)

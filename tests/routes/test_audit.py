"""GET /audit and GET /audit.csv: who changed what, newest first, by filters, as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.access import COMMAND, calling
from app.database import db
from app.redirects.visits import addresses
from app.schemas import KeyCreate
from app.services import audit, keys
from tests.answers import check
from tests.conftest import Api

FROM = {"REMOTE_ADDR": "192.0.2.77"}


def found(api: Api, query: str = "") -> list[Any]:
    rows: list[Any] = api.get(f"/audit{query}")
    return rows


def test_a_row_says_who_when_what_from_what_to_what(api: Api) -> None:
    user = api.user("ada")
    sent = {"json": {"email": "ada@example.org"}, "headers": {"X-Request-ID": "mine-1"}}
    check(api.client.put(f"/users/{user['id']}", **sent, environ_overrides=FROM), 200)
    row = found(api)[0]
    assert row.pop("id")
    assert len(row.pop("at")) == len("2026-01-02T03:04:05")
    assert row == {
        "key_id": None,
        "key": "",
        "address": "192.0.2.0",
        "request_id": "mine-1",
        "action": "update",
        "kind": "user",
        "subject_id": user["id"],
        "version": 2,
        "before": {"email": "ada@example.com"},
        "after": {"username": "ada", "email": "ada@example.org"},
    }


@pytest.fixture
def of_visitors() -> Any:
    yield addresses.bind
    addresses.bind("short")


@pytest.mark.parametrize(
    ("kept", "address"), [("short", "192.0.2.0"), ("full", "192.0.2.77"), ("none", "")]
)
def test_a_row_names_the_key_and_what_is_kept_of_the_address(
    api: Api,
    given_with: Callable[..., None],
    of_visitors: Callable[[str], None],
    kept: str,
    address: str,
) -> None:
    key, secret = keys.create(KeyCreate(name="ci", scope="write"))
    of_visitors(kept)
    given_with(auth="create")
    body = {"json": {"original_url": "https://example.com/"}, "environ_overrides": FROM}
    shown = {"Authorization": f"Bearer {secret.text}"}
    check(api.client.post("/urls", **body, headers=shown), 201)
    check(api.client.post("/urls", **body), 201)
    given_with(auth="off")
    keyless, keyed = found(api)[:2]
    assert (keyed["key_id"], keyed["key"], keyed["address"]) == (key.id, "ci", address)
    assert (keyless["key_id"], keyless["key"], keyless["address"]) == (None, "", address)


@pytest.mark.parametrize(("scope", "status"), [("write", 403), ("read", 403), ("admin", 200)])
def test_it_is_for_admins(
    client: FlaskClient, api: Api, given_with: Callable[..., None], scope: str, status: int
) -> None:
    _, secret = keys.create(KeyCreate(name="k", scope=scope))
    given_with(auth="on")
    for path in ("/audit", "/audit.csv"):
        assert client.get(path).status_code == 401
        shown = {"Authorization": f"Bearer {secret.text}"}
        assert client.get(path, headers=shown).status_code == status


def test_a_key_of_a_user_sees_and_restores_that_users_links_only(
    client: FlaskClient, api: Api, given_with: Callable[..., None]
) -> None:
    ada = api.user("ada")
    own, other = api.url(title="A", user_id=ada["id"]), api.url(title="A")
    _, secret = keys.create(KeyCreate(name="k", scope="write", user_id=ada["id"]))
    given_with(auth="on")
    shown = {"Authorization": f"Bearer {secret.text}"}
    for link, status in ((own, 200), (other, 404)):
        path = f"/urls/{link['id']}"
        assert client.get(f"{path}/versions", headers=shown).status_code == status
        restored = client.post(f"{path}/restore?version=1", headers=shown)
        assert restored.status_code == status


@pytest.fixture
def several(api: Api) -> dict[str, Any]:
    user = api.user("ada")
    links = [api.url(user_id=user["id"]) for _ in range(3)]
    check(api.client.put(f"/urls/{links[0]['id']}", json={"title": "A"}), 200)
    check(api.client.delete(f"/urls/{links[1]['id']}"), 204)
    return {"user": user["id"], "first": links[0]["id"]}


@pytest.mark.parametrize(
    ("query", "actions"),
    [
        ("?kind=user", ["create"]),
        ("?kind=url&subject_id={first}", ["update", "create"]),
        ("?action=delete", ["delete"]),
        ("?kind=url&action=create", ["create"] * 3),
        ("?kind=nothing", []),
        ("?key=nobody", []),
        ("?key=", ["delete", "update", *["create"] * 4]),
        ("?kind=%00", []),
        ("?subject_id=0", []),
        ("?subject_id=99999999999999999999999", []),
        ("?after_time=2020-01-01&before_time=2090-01-01&kind=user", ["create"]),
        ("?after_time=2090-01-01", []),
        ("?before_time=2020-01-01", []),
        ("?per_page=2", ["delete", "update"]),
        ("?per_page=2&page=3", ["create", "create"]),
        ("?page=99999999999999999999999", []),
        ("?after=0", []),
    ],
)
def test_filters_select_and_pages_divide(
    api: Api, several: dict[str, Any], query: str, actions: list[str]
) -> None:
    assert [row["action"] for row in found(api, query.format(**several))] == actions


def test_pages_are_linked(api: Api, several: dict[str, Any]) -> None:
    for order in ("", "&after_time=2020-01-01"):
        seen, path = [], f"/audit?per_page=4&count=true{order}"
        while path:
            answer = check(api.client.get(path), 200)
            assert answer.headers["X-Total-Count"] == "6"
            seen += [row["id"] for row in answer.get_json()]
            path = answer.headers.get("Link", "").partition('>; rel="next"')[0].lstrip("<")
            path = path if answer.headers.get("Link", "").count("next") else ""
        assert seen == sorted(seen, reverse=True)
        assert len(seen) == 6
        last = check(api.client.get(f"/audit?after={seen[3]}{order}"), 200).get_json()
        assert [row["id"] for row in last] == seen[4:]


@pytest.mark.parametrize("query", ["subject_id=x", "after_time=yesterday", "page=x", "after=x"])
def test_a_wrong_filter_is_refused(client: FlaskClient, api: Api, query: str) -> None:
    check(client.get(f"/audit?{query}"), 400)


def test_the_trail_is_exported_with_its_filters(api: Api, several: dict[str, Any]) -> None:
    key, _ = keys.create(KeyCreate(name="ci", scope="read"))
    keys.revoke(key.id)
    answer = check(api.client.get("/audit.csv?kind=key"), 200)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["action"] for row in rows] == ["create", "revoke"]
    assert '"name": "ci"' in rows[0]["after"]
    every = check(api.client.get("/audit.csv"), 200).text.splitlines()
    assert len(every) == 1 + len(found(api, "?per_page=100"))


def test_a_cell_of_the_export_is_no_formula(api: Api) -> None:
    with db.atomic(), calling(COMMAND._replace(key_id=1, key="=1+1", request_id="-1")):
        audit.note("create", "key", 1)
    [row] = csv.DictReader(io.StringIO(check(api.client.get("/audit.csv"), 200).text))
    assert (row["key"], row["request_id"]) == ("'=1+1", "'-1")

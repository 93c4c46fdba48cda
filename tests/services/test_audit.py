"""The audit trail: every kind of change leaves one row, with who, what, from what and to what."""

from __future__ import annotations

import ast
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from peewee import PeeweeException

from app.database import db, released
from app.errors import Conflict
from app.models import Audit
from app.schemas import KeyCreate, UrlsChange, UserCreate
from app.services import audit, keys, urls, users
from testkit.servers import ROOT
from tests.answers import check
from tests.conftest import Api, Command
from tests.imports.uploads import post_file

Row = dict[str, Any]


def trail() -> list[Row]:
    """All rows, oldest first, with what they hold of states."""
    rows = Audit.select().order_by(Audit.id).dicts()
    return [row | {name: _read(row[name]) for name in ("before", "after")} for row in rows]


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def seen(*names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in trail()]


def test_a_link_leaves_a_row_for_each_change(api: Api) -> None:
    url = api.url("https://example.com/a", title="A", tags=["x"])
    path = f"/urls/{url['id']}"
    check(api.client.put(path, json={"title": "B", "is_active": False}), 200)
    check(api.client.put(path, json={"title": "B"}), 200)
    check(api.client.delete(path), 204)
    first = {
        "short_code": url["short_code"],
        "user_id": None,
        "original_url": "https://example.com/a",
        "title": "A",
        "is_active": True,
        "expires_at": None,
        "expired_url": None,
        "max_clicks": None,
        "redirect_status": 302,
        "forward_query": False,
        "tags": ["x"],
    }
    second = first | {"title": "B", "is_active": False}
    assert seen("action", "kind", "subject_id", "version", "before", "after") == [
        ("create", "url", url["id"], 1, None, first),
        ("update", "url", url["id"], 2, {"title": "A", "is_active": True}, second),
        ("delete", "url", url["id"], 3, second, None),
    ]


def test_a_user_leaves_a_row_for_each_change(api: Api) -> None:
    user = api.user("ada")
    path = f"/users/{user['id']}"
    link = api.url(user_id=user["id"])
    check(api.client.put(path, json={"email": "ada@example.org"}), 200)
    check(api.client.put(path, json={"email": "ada@example.org"}), 200)
    check(api.client.delete(path), 204)
    first = {"username": "ada", "email": "ada@example.com"}
    second = {"username": "ada", "email": "ada@example.org"}
    of_user = [row for row in trail() if row["kind"] == "user"]
    assert [(row["action"], row["version"], row["before"], row["after"]) for row in of_user] == [
        ("create", 1, None, first),
        ("update", 2, {"email": "ada@example.com"}, second),
        ("delete", None, second, None),
    ]
    last = trail()[-1]
    assert (last["action"], last["kind"], last["subject_id"]) == ("delete", "url", link["id"])
    assert (last["version"], last["before"]) == (2, {"short_code": link["short_code"]})


def test_many_links_leave_a_row_each(api: Api, client: FlaskClient) -> None:
    body = {"urls": [{"original_url": f"https://example.com/{n}"} for n in range(3)]}
    body["urls"].append({"original_url": "hello"})
    check(client.post("/urls/bulk", json=body), 201)
    assert seen("action", "version", "before") == [("create", 1, None)] * 3
    for action, more in (("tag", {"tags": ["t"]}), ("deactivate", {}), ("delete", {})):
        check(client.patch("/urls?q=example&dry_run=false", json={"action": action, **more}), 200)
        rows = trail()[-3:]
        assert [row["action"] for row in rows] == [action] * 3
    assert len(trail()) == 12
    tagged, off, gone = trail()[3], trail()[6], trail()[9]
    assert (tagged["before"], tagged["after"]["tags"]) == ({"tags": []}, ["t"])
    assert (off["before"], off["after"]["is_active"]) == ({"is_active": True}, False)
    assert (gone["before"], gone["after"], gone["version"]) == (off["after"], None, 4)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/users", {"username": "ada", "email": "new@example.com"}, 409),
        ("PUT", "/users/{user}", {"username": "bob"}, 409),
        ("PUT", "/users/{user}", {"username": 1}, 400),
        ("DELETE", "/users/999999", None, 404),
        ("POST", "/urls", {"original_url": "https://example.com/", "short_code": "mine"}, 409),
        ("POST", "/urls", {"original_url": "https://example.com/", "user_id": 999_999}, 404),
        ("PUT", "/urls/{url}", {"expires_at": "2000-01-01"}, 400),
        ("PUT", "/urls/999999", {"title": "A"}, 404),
        ("POST", "/urls/{url}/restore?version=7", None, 404),
        ("PATCH", "/urls?ids={url}&dry_run=false", {"action": "tag"}, 400),
        ("PATCH", "/urls?ids={url}", {"action": "delete"}, 200),
        ("POST", "/urls/bulk?atomic=true", {"urls": [{"original_url": "https://a.b/"}, 1]}, 400),
    ],
)
def test_a_change_that_fails_leaves_none(
    api: Api, method: str, path: str, body: Any, status: int
) -> None:
    user, url = api.user("ada"), api.url(short_code="mine")
    api.user("bob")
    before = trail()
    path = path.format(user=user["id"], url=url["id"])
    sent = {"json": body} if body is not None else {}
    assert api.client.open(path, method=method, **sent).status_code == status
    assert trail() == before


def test_a_repeated_or_undone_request_leaves_no_second_row(api: Api) -> None:
    key = {"Idempotency-Key": "audit-1"}
    for _ in range(2):
        body = {"original_url": "https://example.com/"}
        check(api.client.post("/urls", json=body, headers=key), 201)
    assert len(trail()) == 1
    bad = {"original_url": "https://example.com/", "user_id": 999_999}
    key = {"Idempotency-Key": "audit-2"}
    check(api.client.post("/urls", json=bad, headers=key), 404)
    with released(), db.atomic() as transaction:
        users.create(UserCreate(username="ada", email="ada@example.com"))
        urls.delete(trail()[0]["subject_id"])
        assert len(trail()) == 3
        transaction.rollback()
    assert len(trail()) == 1


def test_a_key_leaves_a_row_for_each_change_and_nothing_of_its_secret(api: Api) -> None:
    user = api.user()
    key, secret = keys.create(KeyCreate(name="ci", scope="read", user_id=user["id"]))
    _, rotated = keys.rotate(key.id)
    for _ in range(2):
        keys.revoke(key.id)
    with pytest.raises(Conflict):
        keys.rotate(key.id)
    check(api.client.delete(f"/users/{user['id']}"), 204)
    rows = [row for row in trail() if row["kind"] == "key"]
    assert [(row["action"], row["subject_id"]) for row in rows] == [
        (action, key.id) for action in ("create", "rotate", "revoke", "delete")
    ]
    made, turned, revoked, gone = rows
    assert made["after"] == {"name": "ci", "scope": "read", "user_id": user["id"]} | dict.fromkeys(
        ("expires_at", "revoked_at", "old_until")
    )
    assert turned["before"] == {"old_until": None}
    assert revoked["before"] == {"revoked_at": None}
    assert (gone["before"], gone["after"]) == (revoked["after"], None)
    text = str(trail())
    assert all(part not in text for each in (secret, rotated) for part in (each.text, each.hash))


# ---- only additions ----

CHANGES = (
    "UPDATE audit SET action = 'nothing'",
    "UPDATE audit SET after = NULL WHERE id = {}",
    "DELETE FROM audit",
    "DELETE FROM audit WHERE id = {}",
    "INSERT OR REPLACE INTO audit (id, key, address, request_id, action, kind)"
    " VALUES ({}, '', '', '', 'x', 'y')",
    "TRUNCATE audit",
    "SET session_replication_role = replica; DELETE FROM audit",
)


@pytest.mark.parametrize("sql", CHANGES)
def test_a_row_is_never_changed_or_removed(api: Api, sql: str) -> None:
    """On PostgreSQL not even by a superuser, unless it turns the trigger off."""
    api.url()
    before = trail()
    with pytest.raises((PeeweeException, psycopg2.Error, sqlite3.Error)), db.atomic():
        db.execute_sql(sql.format(before[0]["id"]))
    assert trail() == before


def test_its_owner_may_remove_what_is_old_from_sqlite(
    bound: Callable[..., Api], tmp_path: Path
) -> None:
    """As docs/privacy.md says it; on PostgreSQL tests/test_roles.py does it."""
    file, page = tmp_path / "holdfast.db", (ROOT / "docs" / "privacy.md").read_text()
    block = re.findall("```sql\n(.*?)```", page, re.DOTALL)[1]
    url = bound(database_url=f"sqlite:///{file}", redis_url="").url()
    with closing(sqlite3.connect(file, isolation_level=None)) as owner:
        names = "key, address, request_id, action, kind"
        old = f"INSERT INTO audit (at, {names}) SELECT datetime(at, '-401 days'), {names}"
        owner.execute(f"{old} FROM audit")
        owner.executescript(block)
        assert owner.execute("SELECT subject_id FROM audit").fetchall() == [(url["id"],)]
        with pytest.raises(sqlite3.IntegrityError, match="can only be added to"):
            owner.execute("DELETE FROM audit")


# ---- what the API page says ----

PLACES = {"note": 0, "_note": 0, "Change": 0, "changed": 0, "change": 1}
"""Where calls name the action."""


def actions_in(tree: ast.AST) -> Iterator[object]:
    for node in ast.walk(tree):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call):
            place = PLACES.get(ast.unparse(node.func).rpartition(".")[2], len(node.args))
            given = [*node.args[place : place + 1]]
            given += [each.value for each in node.keywords if each.arg == "action"]
        elif isinstance(node, ast.FunctionDef):
            names = node.args.args[len(node.args.args) - len(node.args.defaults) :]
            both = zip(names, node.args.defaults, strict=True)
            given = [value for name, value in both if name.arg == "action"]
        yield from (each.value for each in given if isinstance(each, ast.Constant))


def test_the_api_page_names_every_action(app: Flask) -> None:
    code = [*ROOT.glob("app/services/*.py"), *ROOT.glob("app/imports/*.py")]
    noted = {name for path in code for name in actions_in(ast.parse(path.read_text()))}
    noted |= {*get_args(UrlsChange.model_fields["action"].annotation)}
    row = re.search(r"^\| `action` \| (.*) \|$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    assert row
    assert {*re.findall("`(.*?)`", row[1])} == noted


# ---- imports, commands, settings ----

USERS = "username,email\nada,ada@example.com\nbob,bob@example.com\nbad,bad\n"


def test_an_import_leaves_one_row_with_its_counts(api: Api) -> None:
    check(post_file(api.client, "/users/bulk", USERS), 201)
    assert seen("action", "kind", "subject_id", "after") == [
        ("import", "import", None, {"users": 2})
    ]
    check(post_file(api.client, "/users/bulk", USERS), 201)
    links = "short_code,original_url\na,https://a.example/\n"
    check(post_file(api.client, "/urls/import?dry_run=true", links), 201)
    assert post_file(api.client, "/users/bulk", "username,email\nx,x\n").status_code == 400
    assert len(trail()) == 1
    check(post_file(api.client, "/urls/import", links), 201)
    made = api.get("/urls")[0]["id"]
    assert trail()[1]["after"] == {"urls": 1, "url_ids": [[made, made]]}


def test_a_command_is_named_in_place_of_a_request(
    api: Api, holdfast: Command, tmp_path: Path
) -> None:
    (tmp_path / "users.csv").write_text(USERS)
    assert holdfast("import", tmp_path / "users.csv").exit_code == 0
    api.user("eve")
    command, request = trail()
    assert (command["request_id"], command["key"], command["address"]) == (
        "holdfast import",
        "",
        "",
    )
    assert request["request_id"] != "holdfast import"
    assert holdfast("keys", "create", "ci", "--scope", "read").exit_code == 0
    assert (trail()[-1]["action"], trail()[-1]["request_id"]) == ("create", "holdfast keys create")


def test_what_is_erased_leaves_no_content(api: Api, holdfast: Command) -> None:
    user, link = api.user("ada"), api.url(short_code="mine", title="Secret")
    own = api.url(user_id=user["id"], title="Secret")
    count = len(trail())
    said = holdfast("erase", "--link", "mine", "--apply")
    assert "1 rows of the audit trail stay" in said.stderr
    said = holdfast("erase", "--user", "ada", "--apply")
    assert "2 rows of the audit trail stay" in said.stderr
    new = trail()[count:]
    assert [(row["action"], row["kind"], row["subject_id"]) for row in new] == [
        ("erase", "url", link["id"]),
        ("erase", "user", user["id"]),
        ("erase", "url", own["id"]),
    ]
    assert [row["before"] for row in new] == [
        {"short_code": "mine"},
        None,
        {"short_code": own["short_code"]},
    ]
    assert {row["request_id"] for row in new} == {"holdfast erase"}
    assert [row["after"] for row in new] == [None] * 3


def test_settings_leave_a_row_when_they_are_others_than_at_the_last_start(app: Flask) -> None:
    for shown in ({"A": 1, "B": "x"}, {"A": 1, "B": "x"}, {"A": 2, "B": "x"}, {"A": 2, "C": True}):
        audit.note_settings(shown)
    assert seen("action", "kind", "before", "after") == [
        ("start", "settings", None, {"A": 1, "B": "x"}),
        ("start", "settings", {"A": 1}, {"A": 2, "B": "x"}),
        ("start", "settings", {"B": "x"}, {"A": 2, "C": True}),
    ]


# ---- at once ----


def chain(kind: str, subject_id: int) -> list[Row]:
    return [row for row in trail() if (row["kind"], row["subject_id"]) == (kind, subject_id)]


@pytest.mark.parametrize("kind", ["user", "url"])
def test_changes_at_once_follow_each_other_in_the_trail(app: Flask, api: Api, kind: str) -> None:
    subject = api.user("ada") if kind == "user" else api.url(title="first")
    path, name = (f"/{kind}s/{subject['id']}", "username" if kind == "user" else "title")

    def change(thread: int) -> None:
        client = app.test_client()
        for n in range(8):
            check(client.put(path, json={name: f"{thread}-{n % 3}"}), 200)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(4)))
    rows = chain(kind, subject["id"])
    assert [row["version"] for row in rows] == list(range(1, len(rows) + 1))
    for before, after in pairwise(rows):
        assert after["before"] == {name: before["after"][name]}
        assert after["after"][name] != before["after"][name]
    assert api.get(path)[name] == rows[-1]["after"][name]

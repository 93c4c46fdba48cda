"""The page of imports: checked first, imported, reported row by row, and undone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.imports import undoing
from app.models import Audit, Url
from app.routes.uploads import uploaded_with
from tests.conftest import Api, Command
from tests.pages.reading import BROWSER, page_at
from tests.walking import bearer, secret_of

LINKS = "short_code,original_url\none,https://example.com/1\ntwo,https://example.com/2\n"
BITLY = "Bitlink,Long URL,Title\nbit.ly/one,https://example.com/1,One\n"


def send(client: FlaskClient, text: str = LINKS, **fields: str) -> TestResponse:
    data = {**fields, "file": (BytesIO(text.encode()), "links.csv")}
    return client.post("/import", data=data, headers=BROWSER)


def count() -> int:
    return int(Url.select().where(Url.deleted_at.is_null()).count())


def figures(text: str) -> dict[str, str]:
    return dict(re.findall("<dt>([^<]+)</dt><dd>([^<]+)</dd>", text))


def undo_path(text: str) -> str:
    found = re.search('action="(/import/[0-9]+/undo)"', text)
    assert found
    return found[1]


# ---- check and import ----


def test_a_check_says_what_would_be_and_stores_nothing(client: FlaskClient) -> None:
    answer = send(client, dry_run="true")
    assert answer.status_code == 200
    assert "this file would make 2 links" in answer.text
    assert figures(answer.text) == {"Rows": "2", "New": "2", "There already": "0", "Bad": "0"}
    button = '<button form="import" name="dry_run" value="false">Import 2 links</button>'
    assert button in answer.text
    assert (count(), Audit.select().count()) == (0, 0)


def test_the_import_makes_the_links(client: FlaskClient) -> None:
    answer = send(client, dry_run="false")
    assert "Imported: 2 new links" in answer.text
    assert client.get("/one").headers["Location"] == "https://example.com/1"


def test_without_script_the_page_says_that_the_file_is_to_be_chosen_again(
    client: FlaskClient,
) -> None:
    text = send(client, dry_run="true").text
    assert re.search("<p [^>]*data-again>Choose the same file again", text)
    assert '<form id="import"' in text


def test_a_file_of_another_system_is_read_as_such(client: FlaskClient) -> None:
    text = send(client, BITLY, source="bitly", dry_run="true").text
    assert "this file would make 1 link<" in text
    assert '<option value="bitly" selected>' in text
    assert all(f'<option value="{name}"' in text for name in ("yourls", "shlink", "kutt", "dub"))


def test_fields_behind_the_file_count_as_those_before_it(client: FlaskClient) -> None:
    file = 'name="file"; filename="a.csv"\r\n\r\n' + BITLY
    field = 'name="source"\r\n\r\nbitly'
    for parts in ((file, field), (field, file)):
        body = "".join(f"--x\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
        body += '--x\r\nContent-Disposition: form-data; name="dry_run"\r\n\r\ntrue\r\n--x--\r\n'
        kind = "multipart/form-data; boundary=x"
        answer = client.post("/import", data=body, content_type=kind, headers=BROWSER)
        assert "would make 1 link<" in answer.text


def test_of_another_field_100_bytes_are_kept(app: Flask) -> None:
    field = 'name="source"\r\n\r\n' + "x" * 200_000
    file = 'name="file"; filename="a.csv"\r\n\r\n' + BITLY
    parts = (field, file, 'name="other"\r\n\r\ny')
    body = "".join(f"--x\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
    sent = {"data": f"{body}--x--\r\n", "content_type": "multipart/form-data; boundary=x"}
    with app.test_request_context("/import", method="POST", **sent):
        with uploaded_with("file", ("source", "dry_run")) as (stream, fields):
            assert stream.read().decode() == BITLY
        assert fields == {"source": "x" * 100, "dry_run": ""}


def test_every_bad_row_stands_beside_its_reason(client: FlaskClient) -> None:
    text = send(client, LINKS + "bad code,https://example.com/\nfour,ftp://example.com/\n").text
    assert figures(text)["Bad"] == "2"
    rows = re.findall('<td class="number">(\\d+)</td><td>([^<]+)</td><td[^>]*>([^<]*)<', text)
    assert [(line, value) for line, _, value in rows] == [
        ("4", "bad code"),
        ("5", "ftp://example.com/"),
    ]
    assert rows[0][1].startswith("short_code: must be 1 to 64")


def test_of_many_bad_rows_the_first_are_shown_and_the_others_counted(client: FlaskClient) -> None:
    text = send(client, LINKS + "x y,https://example.com/\n" * 1060, dry_run="true").text
    assert text.count('<td class="number">') == 50
    assert "1,010 more bad rows are not shown" in text
    assert len(text) < 30_000


def test_a_file_of_bad_rows_only_is_reported_as_well(client: FlaskClient) -> None:
    for dry_run, words in (("true", "Nothing would be imported"), ("", "Nothing was imported")):
        file = "short_code,original_url\na b,https://example.com/\n"
        answer = send(client, file, dry_run=dry_run)
        assert answer.status_code == 400
        assert words in answer.text
        assert '<td class="mono">a b</td>' in answer.text
        assert 'value="false">Import ' not in answer.text


def test_a_row_whose_code_is_taken_is_said_to_be(client: FlaskClient, api: Api) -> None:
    api.url("https://example.org/", short_code="one")
    text = send(client, dry_run="true").text
    assert figures(text) == {"Rows": "2", "New": "1", "There already": "0", "Bad": "1"}
    assert "1 of the bad rows have a short code that another link has" in text


@pytest.mark.parametrize(
    ("text", "fields", "field", "words"),
    [
        ("", {}, "file", "is empty"),
        ("a,b\n1,2\n", {}, "file", "is neither users, URLs, events nor products"),
        (LINKS, {"source": "kutt"}, "file", "is no export of kutt"),
        (LINKS, {"source": "other"}, "source", "must be"),
        (LINKS, {"source": "x" * 200}, "source", "must be"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    client: FlaskClient, text: str, fields: dict[str, str], field: str, words: str
) -> None:
    answer = send(client, text, **fields)
    assert answer.status_code == 400
    tag = re.search(rf'<(?:input|select) id="{field}"[^>]*>', answer.text)
    assert tag
    assert 'aria-invalid="true"' in tag[0]
    note = re.search(rf'<p id="{field}-note" class="error">([^<]+)<', answer.text)
    assert note
    assert words in note[1]


def test_a_form_without_a_file_is_told_so(client: FlaskClient) -> None:
    data = {"source": (BytesIO(b"bitly"), "")}
    answer = client.post("/import", data=data, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert 'aria-invalid="true"' in answer.text


def test_a_file_may_have_10_mib(client: FlaskClient) -> None:
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    row = b"x y," + b"z" * 1000 + b"\n"
    for rows, status in ((9000, 200), (11_000, 413)):
        body = start + LINKS.encode() + row * rows + b"\r\n--x--\r\n"
        kind = "multipart/form-data; boundary=x"
        answer = client.post("/import", data=body, content_type=kind, headers=BROWSER)
        assert (answer.status_code, answer.mimetype) == (status, "text/html")


def test_what_a_file_contains_is_text(client: FlaskClient) -> None:
    text = send(client, LINKS + "<script>alert(1)</script>,https://example.com/\n").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("username,email\nada,ada@example.com\n", "1 new user<"),
        ("name,category,price,stock\nCup,Kitchen,3,4\n", "1 new product<"),
    ],
)
def test_files_of_other_kinds_are_imported_and_offer_no_undoing(
    client: FlaskClient, text: str, words: str
) -> None:
    answer = send(client, text)
    assert words in answer.text
    assert "/undo" not in answer.text
    assert "not possible" in answer.text


# ---- undo ----


def test_an_import_is_undone(client: FlaskClient, api: Api) -> None:
    kept = api.url("https://example.com/kept")
    text = send(client).text
    assert text.count('/undo"') == 2  # in the report, and in the list
    answer = client.post(undo_path(text), headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/import?undone=2")
    assert (count(), client.get("/one").status_code) == (1, 404)
    assert client.get(f"/{kept['short_code']}").status_code == 302
    shown = page_at(client, "/import?undone=2")
    assert "The import was undone: 2 links deleted" in shown
    assert ">undone</span>" in shown
    assert '/undo"' not in shown


def test_links_that_were_there_before_the_import_stay(client: FlaskClient) -> None:
    send(client)
    text = send(client, LINKS + "three,https://example.com/3\n").text
    client.post(undo_path(text), headers=BROWSER)
    assert count() == 2
    assert client.get("/three").status_code == 404


def test_ids_of_a_file_and_gaps_between_them_are_kept(client: FlaskClient, api: Api) -> None:
    last = api.url()["id"]
    ids = [last + more for more in (5, 6, 7, 20, 30, 31)]
    rows = "".join(f"{id},c{id},https://example.com/{id}\n" for id in ids)
    text = send(client, f"id,short_code,original_url\n{rows}").text
    made = Audit.select().where(Audit.kind == "import").get().after
    pieces = [(last + first, last + end) for first, end in ((5, 7), (20, 20), (30, 31))]
    assert f'"url_ids": [{", ".join(f"[{first}, {end}]" for first, end in pieces)}]' in made
    client.post(undo_path(text), headers=BROWSER)
    assert count() == 1


def test_what_was_deleted_meanwhile_is_not_counted_and_no_import_is_undone_twice(
    client: FlaskClient, api: Api
) -> None:
    path = undo_path(send(client).text)
    client.delete(f"/urls/{api.get('/urls')[0]['id']}")
    assert client.post(path).headers["Location"] == "/import?undone=1"
    assert client.post(path, headers=BROWSER).status_code == 409


def test_an_import_is_undone_in_batches(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "_BATCH", 3)
    rows = "".join(f"c{n},https://example.com/{n}\n" for n in range(10))
    text = send(client, f"short_code,original_url\n{rows}").text
    assert client.post(undo_path(text)).headers["Location"] == "/import?undone=10"
    assert count() == 0


def test_of_two_undoings_at_once_one_is_refused(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "_BATCH", 1)  # long enough that both begin before one ends
    rows = "".join(f"c{n},https://example.com/{n}\n" for n in range(10))
    path = undo_path(send(client, f"short_code,original_url\n{rows}").text)
    barrier = threading.Barrier(2)

    def undo(_number: int) -> int:
        barrier.wait()
        return app.test_client().post(path, headers=BROWSER).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(undo, range(2))) == [303, 409]
    assert count() == 0
    assert len(client.get("/audit?kind=import&action=undo").json or []) == 1


def test_the_audit_trail_tells_of_the_import_and_of_its_undoing(client: FlaskClient) -> None:
    client.post(undo_path(send(client).text))
    rows = client.get("/audit?kind=import").json or []
    assert [(row["action"], row["after"]["urls"]) for row in rows] == [("undo", 2), ("import", 2)]
    assert rows[0]["subject_id"] == rows[1]["id"]


@pytest.mark.parametrize(("most", "offered"), [(2, True), (1, False)])
def test_a_larger_import_is_not_undone_and_says_so(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, most: int, offered: bool
) -> None:
    monkeypatch.setattr("app.imports.importing.MOST_UNDONE", most)
    text = send(client).text
    assert ('/undo"' in text, "not possible" in text) == (offered, not offered)


def test_ids_that_are_too_scattered_are_not_noted(client: FlaskClient) -> None:
    rows = "".join(f"{id},c{id},https://example.com/{id}\n" for id in range(2, 2100, 2))
    text = send(client, f"id,short_code,original_url\n{rows}").text
    assert "Imported: 1,049 new links" in text
    assert "not possible" in text


def test_an_import_by_command_is_undone_as_well(
    client: FlaskClient, holdfast: Command, tmp_path: Any
) -> None:
    file = tmp_path / "urls.csv"
    file.write_text(LINKS, encoding="utf-8")
    assert holdfast("import", file).exit_code == 0
    client.post(undo_path(page_at(client, "/import")))
    assert count() == 0


@pytest.mark.parametrize("import_id", [0, 7, 2**63 - 1])
def test_an_import_that_is_not_there_is_not_found(client: FlaskClient, import_id: int) -> None:
    assert client.post(f"/import/{import_id}/undo", headers=BROWSER).status_code == 404


def test_no_other_row_of_the_audit_trail_is_taken_for_an_import(
    client: FlaskClient, api: Api
) -> None:
    api.url()
    row = Audit.get()
    assert client.post(f"/import/{row.id}/undo", headers=BROWSER).status_code == 404
    assert count() == 1


# ---- who ----


def test_a_key_undoes_its_own_imports_and_an_admins_all(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(auth="on")
    one, other, admin = (
        {**BROWSER, **bearer(secret_of(scope))} for scope in ("write", "write", "admin")
    )
    data = {"file": (BytesIO(LINKS.encode()), "links.csv")}
    path = undo_path(client.post("/import", data=data, headers=one).text)
    assert path not in client.get("/import", headers=other).text
    assert client.post(path, headers=other).status_code == 404
    assert path in client.get("/import", headers=one).text
    assert client.post(path, headers=admin).status_code == 303
    assert count() == 0


def test_a_key_that_is_bound_to_a_user_imports_nothing(
    client: FlaskClient, api: Api, given_with: Callable[..., None]
) -> None:
    user = api.user()["id"]
    given_with(auth="on")
    sent = {**BROWSER, **bearer(secret_of("write", user_id=user))}
    shown = client.get("/import", headers=sent).text
    assert f"bound to user {user}: it may not import files" in shown
    assert 'type="file"' not in shown
    data = {"file": (BytesIO(LINKS.encode()), "links.csv")}
    assert client.post("/import", data=data, headers=sent).status_code == 403
    assert client.post("/import/1/undo", headers=sent).status_code == 403


def test_who_may_only_read_does_not_come_in(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(auth="on")
    sent = {**BROWSER, **bearer(secret_of("read"))}
    assert client.get("/import", headers=sent).status_code == 403


def test_no_link_has_the_code_of_the_page(client: FlaskClient) -> None:
    answer = client.post("/urls", json={"url": "https://example.com/", "short_code": "Import"})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/urls/new", "/keys/new"])
def test_a_form_that_is_too_large_gets_a_page_that_says_so(client: FlaskClient, path: str) -> None:
    for length in ({}, {"content_length": 200_000}):
        data = BytesIO(b"zone=UTC&title=" + b"x" * 200_000)
        kind = "application/x-www-form-urlencoded"
        environ = {} if length else {"wsgi.input_terminated": True}
        answer = client.post(
            path, input_stream=data, content_type=kind, environ_overrides=environ, **length
        )
        assert (answer.status_code, answer.mimetype) == (413, "text/html")

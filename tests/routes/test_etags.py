"""ETags of users and links: If-Match guards changes, If-None-Match saves an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from testkit.servers import LONG_LOCKS, Postgres, wait_for
from tests.answers import check
from tests.conftest import Api
from tests.holding import holding

NOUNS = ("users", "urls")
CHANGES = {"users": {"username": "other"}, "urls": {"title": "other"}}


def path_of(api: Api, noun: str) -> str:
    made = api.user() if noun == "users" else api.url()
    return f"/{noun}/{made['id']}"


def tag_of(client: FlaskClient, path: str) -> str:
    return check(client.get(path), 200).headers["ETag"]


def put(client: FlaskClient, path: str, if_match: str, **changes: Any) -> TestResponse:
    changes = changes or CHANGES[path.split("/")[1]]
    return client.put(path, json=changes, headers={"If-Match": if_match})


def version(tag: str) -> str:
    """What If-Match compares."""
    return tag.strip('"').partition(".")[0]


@pytest.mark.parametrize("noun", NOUNS)
def test_every_answer_has_the_same_strong_tag_until_a_change(
    client: FlaskClient, api: Api, noun: str
) -> None:
    body = {"username": "a", "email": "a@example.com"}
    sent = {"users": body, "urls": {"original_url": "https://a.example/"}}[noun]
    made = check(client.post(f"/{noun}", json=sent), 201)
    path, tag = made.headers["Location"], made.headers["ETag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    assert tag_of(client, path) == client.head(path).headers["ETag"] == tag
    for same in ({}, sent):
        assert client.put(path, json=same).headers["ETag"] == tag
    changed = client.put(path, json=CHANGES[noun]).headers["ETag"]
    assert changed != tag
    assert tag_of(client, path) == changed


@pytest.mark.parametrize("noun", NOUNS)
def test_rows_of_one_version_have_different_tags(client: FlaskClient, api: Api, noun: str) -> None:
    paths = [path_of(api, noun) if noun == "urls" else f"/users/{api.user(n)['id']}" for n in "ab"]
    assert tag_of(client, paths[0]) != tag_of(client, paths[1])


def test_a_click_changes_no_version(client: FlaskClient, api: Api) -> None:
    url = api.url()
    path = f"/urls/{url['id']}"
    before = tag_of(client, path)
    api.follow(url, 3)
    after = tag_of(client, path)
    assert version(after) == version(before)
    check(put(client, path, before), 200)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_needs_the_tag_that_if_match_names(
    client: FlaskClient, api: Api, noun: str, method: str
) -> None:
    path = path_of(api, noun)
    tag = tag_of(client, path)
    new = client.put(path, json={"title": "new", "username": "new"}).headers["ETag"]
    refused = client.open(path, method=method, json=CHANGES[noun], headers={"If-Match": tag})
    assert new in check(refused, 412).get_json()["message"]
    assert tag_of(client, path) == new
    headers = {"If-Match": new}
    check(client.open(path, method=method, json=CHANGES[noun], headers=headers), 200, 204)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("{tag}", 200),
        ("*", 200),
        (" * ", 200),
        ('"a", {tag}', 200),
        ('"a","b,c" , {tag},', 200),
        ("W/{tag}", 412),
        ('"a", W/{tag}', 412),
        ('"a"', 412),
        ('""', 412),
        ("", 412),
        ("{tag} or so", 412),
        ("a*", 412),
    ],
)
def test_if_match_compares_strongly(
    client: FlaskClient, api: Api, noun: str, given: str, status: int
) -> None:
    path = path_of(api, noun)
    check(put(client, path, given.format(tag=tag_of(client, path))), status)


@pytest.mark.parametrize("path", ["/users/99", "/urls/99", f"/users/{2**63}", f"/urls/{2**63}"])
@pytest.mark.parametrize("given", ["*", '"a"'])
def test_what_does_not_exist_is_404_whatever_is_required(
    client: FlaskClient, path: str, given: str
) -> None:
    check(put(client, path, given), 404)
    check(client.delete(path, headers={"If-Match": given}), 404)


def test_a_conflict_is_told_also_where_a_tag_is_required(client: FlaskClient, api: Api) -> None:
    api.user("ada")
    path = f"/users/{api.user('eve')['id']}"
    tag = tag_of(client, path)
    answer = check(put(client, path, tag, username="ada"), 409)
    assert answer.get_json()["message"] == "Username already exists: ada"
    assert tag_of(client, path) == tag


def test_a_body_is_checked_before_the_tag(client: FlaskClient, api: Api) -> None:
    check(put(client, path_of(api, "urls"), '"a"', title=3), 400)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("given", ["{tag}", "W/{tag}", '"a", {tag}', "*"])
def test_what_is_known_is_304(client: FlaskClient, api: Api, noun: str, given: str) -> None:
    path = path_of(api, noun)
    tag = tag_of(client, path)
    for method in ("GET", "HEAD"):
        headers = {"If-None-Match": given.format(tag=tag)}
        answer = check(client.open(path, method=method, headers=headers), 304)
        assert (answer.data, answer.headers["ETag"]) == (b"", tag)
        assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("given", ['"a"', "", "{tag} or so", "tag", 'W/"a"'])
def test_what_is_not_known_is_answered(
    client: FlaskClient, api: Api, noun: str, given: str
) -> None:
    path = path_of(api, noun)
    headers = {"If-None-Match": given.format(tag=tag_of(client, path))}
    assert check(client.get(path, headers=headers), 200).get_json() == api.get(path)


@pytest.mark.parametrize("noun", NOUNS)
def test_a_changed_row_is_not_known(client: FlaskClient, api: Api, noun: str) -> None:
    path = path_of(api, noun)
    headers = {"If-None-Match": tag_of(client, path)}
    client.put(path, json=CHANGES[noun])
    check(client.get(path, headers=headers), 200)


def test_a_followed_link_is_not_known(client: FlaskClient, api: Api) -> None:
    url = api.url()
    headers = {"If-None-Match": tag_of(client, f"/urls/{url['id']}")}
    api.follow(url)
    answer = check(client.get(f"/urls/{url['id']}", headers=headers), 200)
    assert answer.get_json()["click_count"] == 1
    headers = {"If-None-Match": answer.headers["ETag"]}
    check(client.get(f"/urls/{url['id']}", headers=headers), 304)


@pytest.mark.parametrize("noun", NOUNS)
def test_of_many_changes_at_once_one_wins(app: Flask, api: Api, noun: str) -> None:
    path = path_of(api, noun)
    tag = tag_of(api.client, path)
    barrier, statuses = threading.Barrier(8), []

    def change(number: int) -> None:
        client = app.test_client()
        barrier.wait()
        body = {"title": f"t{number}", "username": f"u{number}"}
        statuses.append(put(client, path, tag, **body).status_code)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [412] * 7


@pytest.mark.services
@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_that_is_being_made_is_waited_for(
    bound: Callable[..., Api], postgres_server: Postgres, noun: str, method: str
) -> None:
    api = bound(database_url=postgres_server.url + LONG_LOCKS, redis_url="")
    path = path_of(api, noun)
    headers, answers = {"If-Match": tag_of(api.client, path)}, []

    def change() -> None:
        answers.append(
            api.client.open(path, method=method, json=CHANGES[noun], headers=headers).status_code
        )

    with holding(postgres_server.url, f"UPDATE {noun} SET version = version + 1") as waiting:
        thread = threading.Thread(target=change)
        thread.start()
        wait_for(lambda: waiting() == 1)
    thread.join()
    assert answers == [412]

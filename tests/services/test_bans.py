"""Banned hosts: existing links answer 451 at once, through every cache, until the ban ends."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis

from app.database import DatabaseUnavailable, db, now, released
from app.models import Url
from app.redirects.bans import FRESH_SECONDS, Bans, bans
from app.redirects.links import BANNED, Link, cache, count_pending, deliver_pending, link_of
from app.schemas import UrlCreate
from app.services import hosts, urls
from testkit.servers import HANGS_SECONDS, LONG_LOCKS, Postgres, Redis, wait_for
from tests.answers import check
from tests.conftest import Api, Command, pause_over

BAD = "https://a.EVIL.example/secret"
Bound = Callable[..., Api]


def status(api: Api, url: dict[str, Any]) -> int:
    return api.client.get(f"/{url['short_code']}").status_code


def ban(host: str = "evil.example") -> hosts.Renewed:
    hosts.ban(host, "phishing")
    return renew(host)


def renew(host: str = "evil.example") -> hosts.Renewed:
    return list(hosts.renew(host, "ban"))[-1]


def test_a_ban_turns_existing_links_off_and_its_end_turns_them_on(
    api: Api, holdfast: Command
) -> None:
    bad, good = api.url(BAD), api.url("https://example.com/?evil.example")
    for url in (bad, good):
        api.follow(url)
    done = holdfast("links", "ban", "Evil.Example.", "--reason", "phishing")
    assert (done.exit_code, done.stdout) == (0, "1 links to evil.example lead nowhere now\n")
    bans.forget()
    assert (status(api, bad), status(api, good)) == (451, 302)
    assert re.fullmatch(
        r"evil\.example\t\d{4}-\d\d-\d\d\tphishing\n", holdfast("links", "banned").stdout
    )
    assert api.clicks(bad) == 1
    assert holdfast("links", "unban", "evil.example").exit_code == 0
    assert holdfast("links", "banned").stdout == ""
    bans.forget()
    assert status(api, bad) == 302


def test_a_banned_link_says_why_and_not_where_it_led(api: Api) -> None:
    code = api.url(BAD)["short_code"]
    ban()
    for path in (f"/{code}", f"/{code}+", f"/urls/{code}/redirect"):
        response = check(api.client.get(path), 451)
        assert response.get_json()["reason"] == "banned"
        page = api.client.get(path, headers={"Accept": "text/html"})
        assert (page.status_code, page.mimetype) == (451, "text/html")
        for each in (response, page):
            assert "secret" not in each.text
            assert each.headers["X-Robots-Tag"] == "noindex"
            assert each.headers["Cache-Control"] == "private, no-store"
    assert api.client.head(f"/{code}").status_code == 451


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("evil.example", "http://\uff45vil\u3002example/"),
        ("xn--bcher-kva.example", "https://a.B\xdccher.example./"),
        ("xn--bcher-kva.example", "https://xn--bcher-kva.example/"),
        ("my_evil.example", "https://MY_EVIL.example/"),
        ("8.8.8.8", "http://0x8.010.2056/"),
        ("[2606:4700:0000:0000:0000:0000:0000:1111]", "http://[2606:4700::1111]/"),
    ],
    ids=ascii,
)
def test_every_spelling_of_a_host_is_found(api: Api, host: str, address: str) -> None:
    url, other = api.url(address), api.url("https://myxevil.example/")
    assert ban(host).links == 1
    assert (status(api, url), status(api, other)) == (451, 302)


def test_a_link_is_banned_for_where_it_leads_now(api: Api) -> None:
    until = (now() + timedelta(hours=1)).isoformat()
    later = api.url("https://example.com/", expires_at=until, expired_url=BAD)
    first = api.url(BAD, expires_at=until, expired_url="https://example.com/")
    assert ban().links == 2
    assert (status(api, later), status(api, first)) == (302, 451)
    Url.update(expires_at=now() - timedelta(hours=1), version=Url.version + 1).execute()
    for url in (later, first):
        row = Url.get(Url.id == url["id"])
        cache.put_links([(row.short_code, link_of(row).text())])
    assert (status(api, later), status(api, first)) == (451, 302)


def test_inactive_links_are_banned_and_deleted_ones_stay_deleted(api: Api) -> None:
    inactive, deleted = api.url(BAD, is_active=False), api.url(BAD)
    api.client.delete(f"/urls/{deleted['id']}")
    ban()
    assert (status(api, inactive), status(api, deleted)) == (451, 404)


def test_a_change_of_a_banned_link_leaves_it_banned_until_it_leads_elsewhere(api: Api) -> None:
    url = api.url(BAD)
    ban()
    api.client.put(f"/urls/{url['id']}", json={"title": "new"})
    assert status(api, url) == 451
    api.client.put(f"/urls/{url['id']}", json={"original_url": "https://example.com/"})
    assert status(api, url) == 302


def test_a_link_made_by_a_process_that_does_not_know_yet_is_banned_soon(api: Api) -> None:
    assert bans.hosts() == frozenset()
    hosts.ban("evil.example", "")
    url = api.url(BAD)  # the list that was read is not a second old
    assert status(api, url) == 302
    assert renew().links == 1
    assert status(api, url) == 451


def test_a_ban_waits_until_every_process_knows_of_it(api: Api) -> None:
    began = time.monotonic()
    ban()
    assert time.monotonic() - began >= FRESH_SECONDS


def test_links_that_nginx_serves_alone_have_no_banned_ones(
    api: Api, holdfast: Command, tmp_path: Path
) -> None:
    bad, good = api.url(BAD), api.url("https://example.com/")
    ban()
    file = tmp_path / "links.conf"
    assert holdfast("links", file).exit_code == 0
    written = file.read_text()
    assert holdfast("links", "-").stdout == holdfast("links", "write", "-").stdout == written
    assert f"{good['short_code']}=" in written
    assert f"{bad['short_code']}=" not in written


@pytest.mark.services
def test_an_end_of_a_ban_that_was_interrupted_is_finished(
    shared: Api, redis_server: Redis, held: redis.Redis, holdfast: Command
) -> None:
    url = shared.url(BAD)
    ban()
    assert hosts.allow("evil.example")
    done = holdfast("links", "unban", "evil.example", redis_url=redis_server.url)
    assert (done.exit_code, done.stderr) == (0, "evil.example was not banned\n")
    assert done.stdout.startswith("1 links to evil.example lead where they led")
    assert held.get(f"link:{url['short_code']}") == f"a 3 {url['id']} {BAD}".encode()


def test_what_cannot_be_banned_is_refused(app: Any, holdfast: Command) -> None:
    for host, why in (
        ("co.uk", "is a public suffix"),
        ("https://evil.example/", "is not the name"),
    ):
        done = holdfast("links", "ban", host)
        assert done.exit_code == 2
        assert why in done.stderr


# ---- with Redis ----


def test_a_banned_link_is_cached_so_that_older_replicas_do_not_follow_it() -> None:
    link = Link(BANNED, 7, 9, "")
    assert link.text() == "i 7 9 banned"
    assert Link.parse(link.text().encode()) == link


@pytest.mark.services
def test_a_slow_reader_puts_no_banned_link_back(shared: Api, held: redis.Redis) -> None:
    url = shared.url(BAD)
    shared.follow(url)
    key = f"link:{url['short_code']}"
    active = held.get(key)
    assert active
    ban()
    assert held.get(key) == f"i 2 {url['id']} banned".encode()
    cache.put_links([(url["short_code"], active.decode())])
    assert status(shared, url) == 451
    held.delete(key)
    assert (status(shared, url), held.get(key)) == (451, f"i 2 {url['id']} banned".encode())


@pytest.mark.services
def test_a_ban_while_redis_is_down_is_told_when_it_is_back(
    shared: Api, redis_server: Redis, held: redis.Redis
) -> None:
    url = shared.url(BAD)
    shared.follow(url)
    redis_server.kill()
    assert ban() == hosts.Renewed(1, 1)
    assert count_pending() == 1
    redis_server.start()
    pause_over()
    assert deliver_pending() == 1
    assert held.get(f"link:{url['short_code']}") == f"i 2 {url['id']} banned".encode()
    assert status(shared, url) == 451


MAKING: dict[str, dict[str, Any]] = {
    "/urls": {"original_url": BAD},
    "/shorten": {"url": BAD},
    "/urls/bulk": {"urls": [{"original_url": BAD}]},
}


@pytest.mark.services
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}], ids=["plain", "once"])
@pytest.mark.parametrize("path", MAKING)
def test_a_link_is_made_also_when_bans_cannot_be_read_afterwards(
    shared: Api, monkeypatch: pytest.MonkeyPatch, path: str, headers: dict[str, str]
) -> None:
    def unreadable(_bans: Bans, _address: str) -> bool:
        raise DatabaseUnavailable("it went away")

    with monkeypatch.context() as patch:
        patch.setattr(Bans, "covers", unreadable)
        check(shared.client.post(path, json=MAKING[path], headers=headers), 201)
    [url] = shared.get("/urls")
    assert status(shared, url) == 302


@pytest.mark.services
def test_a_link_that_was_banned_while_it_was_made_is_not_cached_as_active(
    shared: Api, held: redis.Redis
) -> None:
    with db.atomic():
        url = urls.create(UrlCreate(original_url=BAD))
        hosts.ban("evil.example", "")
        bans.forget()  # a second later
    assert held.get(f"link:{url.short_code}") == f"i 1 {url.id} banned".encode()


# ---- on PostgreSQL ----


@pytest.fixture
def on_postgres(bound: Bound, postgres_server: Postgres) -> tuple[Api, str]:
    url = postgres_server.another_database()
    return bound(database_url=url + LONG_LOCKS, redis_url=""), url.replace("+pool", "")


def renewing() -> threading.Thread:
    thread = threading.Thread(target=renew)
    thread.start()
    return thread


def wait_for_lock(database_url: str, thread: threading.Thread) -> None:
    """Until the thread waits for a lock; it must not end before."""
    waiting = """SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE NOT granted AND datname = current_database()"""
    with closing(psycopg2.connect(database_url)) as looking, looking.cursor() as cursor:

        def waits() -> bool:
            cursor.execute(waiting)
            return cursor.fetchone() is not None or not thread.is_alive()

        looking.autocommit = True
        wait_for(waits, what="a thread that waits for a lock")
    assert thread.is_alive()


@pytest.mark.services
@pytest.mark.parametrize(
    "lock",
    [
        "SELECT 1 FROM urls WHERE id = 1 FOR UPDATE",
        "SELECT pg_advisory_xact_lock_shared(hashtext('holdfast hosts'))",
    ],
)
def test_a_ban_waits_for_changes_that_are_under_way(
    on_postgres: tuple[Api, str], lock: str
) -> None:
    api, database_url = on_postgres
    urls = [api.url(BAD) for _ in range(3)]
    hosts.ban("evil.example", "")
    with released(), closing(psycopg2.connect(database_url)) as other:
        other.cursor().execute(lock)
        thread = renewing()
        wait_for_lock(database_url, thread)
        versions = dict(db.execute_sql("SELECT id, version FROM urls").fetchall())
        waits_for_rows = "urls" in lock
        assert versions == {1: 1, 2: 1 + waits_for_rows, 3: 1 + waits_for_rows}
        other.rollback()
        thread.join()
    assert [Url.get(Url.id == url["id"]).version for url in urls] == [2, 2, 2]


@pytest.mark.services
def test_a_ban_waits_for_links_that_are_being_made(on_postgres: tuple[Api, str]) -> None:
    _, database_url = on_postgres
    made, over = threading.Event(), threading.Event()

    def make() -> None:
        with released(), db.atomic():
            urls.create(UrlCreate(original_url=BAD))
            made.set()
            over.wait(HANGS_SECONDS)

    making = threading.Thread(target=make)
    making.start()
    assert made.wait(HANGS_SECONDS)
    with released():
        hosts.ban("evil.example", "")
    thread = renewing()
    try:
        wait_for_lock(database_url, thread)
    finally:
        over.set()
        making.join()
        thread.join()
    assert [url.version for url in Url.select()] == [2]


# ---- in the audit trail ----


def test_a_ban_is_in_the_audit_trail_and_leaves_each_version_known(api: Api) -> None:
    url = api.url(BAD, title="first")
    ban()
    rows = api.get("/audit")
    assert [(row["action"], row["kind"]) for row in rows[:2]] == [("ban", "url"), ("ban", "host")]
    assert rows[1]["after"] == {"host": "evil.example", "reason": "phishing"}
    assert (rows[0]["subject_id"], rows[0]["version"], rows[0]["before"]) == (url["id"], 2, {})
    known = api.get(f"/urls/{url['id']}/versions")
    assert [version["version"] for version in known] == [2, 1]


def test_a_version_on_a_banned_host_is_not_restored(api: Api) -> None:
    url = api.url(BAD)
    api.client.put(f"/urls/{url['id']}", json={"original_url": "https://example.com/"})
    hosts.ban("evil.example", "")
    bans.forget()
    response = check(api.client.post(f"/urls/{url['id']}/restore?version=1"), 400)
    assert response.get_json()["errors"] == {"original_url": "leads to a host that is banned"}

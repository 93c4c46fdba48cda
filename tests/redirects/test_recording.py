"""Clicks whose outcome is unknown: each is stored once, from Redis or from the replica."""

from __future__ import annotations

import json
import logging
import threading
from datetime import timedelta
from typing import Any

import pytest
import redis

from app import database
from app.database import DatabaseUnavailable, db, now, released
from app.models import ClickClaim, Event, Url, User
from app.redirects import cancelling, recording
from app.redirects.claims import forget_claims
from app.redirects.clicks import Click, Outcome, visitor
from app.redirects.connection import STREAM
from app.redirects.drain import drain, store
from app.redirects.links import ACTIVE, Link
from testkit.machine import Stopwatch
from testkit.servers import Postgres, Redis, wait_for
from tests.conftest import Api, pause_over
from tests.redirects.test_drain import Bound
from tests.redirects.test_links import cache_failures


def click_on(url: dict[str, Any]) -> tuple[Click, Link]:
    click = Click(url["short_code"], visitor("127.0.0.1", "probe", ""))
    return click, Link(ACTIVE, 1, url["id"], url["original_url"])


@pytest.mark.services
def test_a_click_that_redis_had_after_all_is_one_when_its_sender_comes_first(shared: Api) -> None:
    url = shared.url()
    click, link = click_on(url)
    click.outcome = Outcome.UNKNOWN
    recording.record(click, link)
    click.outcome = Outcome.NOT_RECORDED
    recording.record(click, link)
    assert shared.clicks(url) == 1


@pytest.mark.services
def test_a_click_that_redis_had_after_all_is_one_when_the_stream_comes_first(shared: Api) -> None:
    url = shared.url()
    shared.follow(url, 2)
    click, link = click_on(url)
    recording.record(click, link)
    shared.follow(url, 2)
    drain.run()
    click.outcome = Outcome.UNKNOWN
    recording.record(click, link)
    assert shared.clicks(url) == 5


@pytest.mark.services
def test_a_click_on_a_link_that_was_not_cached_is_one_when_redis_hangs_during_its_call(
    shared: Api, redis_server: Redis
) -> None:
    url = shared.url()
    recording.record(*click_on(url))  # Redis knows the script now
    with redis_server.frozen():
        recording.record(*click_on(url))
    pause_over()
    assert shared.clicks(url) == 2


@pytest.mark.services
def test_a_request_that_was_refused_in_the_end_leaves_no_click(shared: Api) -> None:
    url = shared.url()
    click, link = click_on(url)
    recording.record(click, link)
    click.outcome = Outcome.UNKNOWN
    cancelling.cancel(click)
    assert shared.clicks(url) == 0


@pytest.mark.services
def test_clicks_while_redis_hangs_are_counted_once_when_it_goes_on_and_records_them(
    shared: Api, redis_server: Redis, held: redis.Redis
) -> None:
    url = shared.url()
    shared.follow(url)
    before, watch = cache_failures(), Stopwatch()
    with redis_server.frozen():
        shared.follow(url, 3)
    # One before, and each that it was asked meanwhile: one, where all is done within a second.
    asked = cache_failures() - before
    assert 1 <= asked <= 1 + watch.wall
    wait_for(lambda: held.xlen(STREAM) == 1 + asked, what=f"{asked} clicks that Redis was told of")
    pause_over()
    assert shared.clicks(url) == 4


@pytest.mark.services
def test_a_redirect_that_was_refused_while_redis_hung_is_no_click_when_it_goes_on(
    shared: Api, redis_server: Redis
) -> None:
    url = shared.url()
    shared.follow(url)
    Url.update(is_active=False).execute()  # by another replica, which does not reach this Redis
    with redis_server.frozen():
        assert shared.client.get(f"/{url['short_code']}").status_code == 410
    pause_over()
    assert shared.clicks(url) == 1


@pytest.mark.services
def test_a_request_that_was_refused_after_the_drain_had_its_click_leaves_none(shared: Api) -> None:
    url = shared.url()
    shared.follow(url)
    click, link = click_on(url)
    recording.record(click, link)
    drain.run()
    click.outcome = Outcome.UNKNOWN
    cancelling.cancel(click)
    assert shared.clicks(url) == 1
    assert [event["details"]["user_agent"] for event in shared.get("/events?type=clicked")] != [
        "probe"
    ]


@pytest.mark.services
def test_a_click_whose_neighbours_the_drain_had_is_not_taken_for_one_of_them(shared: Api) -> None:
    url = shared.url()
    (before, link), (missed, _), (after, _) = click_on(url), click_on(url), click_on(url)
    for click in (before, after):
        recording.record(click, link)
    drain.run()
    missed.outcome = Outcome.UNKNOWN
    recording.record(missed, link)
    assert shared.clicks(url) == 3


@pytest.mark.services
def test_a_cached_link_works_without_the_database_after_a_slow_redis_and_counts_once(
    bound: Bound, redis_server: Redis, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url=redis_server.url)
    url = api.url()
    api.follow(url)
    with redis_server.frozen():
        assert (
            api.client.get(f"/{url['short_code']}").status_code == 302
        )  # the database has it, and the circuit breaker is open
    postgres_server.kill()
    api.follow(url, 2)
    postgres_server.start()
    pause_over()
    assert api.clicks(url) == 4


@pytest.mark.services
def test_a_redirect_that_was_refused_while_both_were_unavailable_is_no_click_later(
    bound: Bound, redis_server: Redis, postgres_server: Postgres, held: redis.Redis
) -> None:
    api = bound(database_url=postgres_server.url, redis_url=redis_server.url)
    url = api.url()
    api.follow(url)
    with redis_server.frozen():
        postgres_server.kill()
        assert api.client.get(f"/{url['short_code']}").status_code == 503
        with pytest.raises(DatabaseUnavailable):
            cancelling.cancel_due()
    wait_for(lambda: held.xlen(STREAM) > 1, what="the click that Redis was told of")
    postgres_server.start()
    wait_for(is_refused, what="the click's refusal, by itself")
    drain.run()
    assert api.clicks(url) == 1


def test_an_unknown_click_of_a_request_that_is_refused_before_the_view_is_cancelled(
    api: Api,
) -> None:
    url = api.url()
    click, _ = click_on(url)
    click.outcome = Outcome.UNKNOWN
    refused = api.client.get(
        f"/{url['short_code']}",
        data=b"x" * 100_000,
        environ_base={"asgi.scope": {"click": click, "must_run": True}},
    )
    assert refused.status_code == 413
    wait_for(lambda: click.outcome is Outcome.NOT_RECORDED, what="the click's cancellation")


def test_clicks_that_are_not_cancelled_because_too_many_wait_are_logged_in_few_lines(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cancelling, "_MOST", 2)
    monkeypatch.setattr(cancelling, "_given_up", cancelling._GivenUp())
    clicks = clicks_on(api.url(), 12)

    def said() -> list[str]:
        return [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]

    with caplog.at_level(logging.ERROR, "app.redirects.cancelling"):
        for click in clicks[:3]:
            cancelling.cancel_later(click)
        assert [clicks[0].id in each for each in said()] == [True], "the first one at once"
        for click in clicks[3:]:
            cancelling.cancel_later(click)
        wait_for(lambda: len(said()) > 1, what="the line at the end")
    assert "9 may be counted" in said()[1]
    assert len(said()) == 2
    wait_for(lambda: not cancelling._cancelling.is_running(), what="the others' cancellation")


def is_refused() -> bool:
    """Whether a replica claimed its click to cancel it; not while the database is down."""
    try:
        with released():
            return bool(
                ClickClaim.select().where(ClickClaim.forget_at > now() + timedelta(days=1)).exists()
            )
    except DatabaseUnavailable:
        return False


def test_claims_are_deleted_when_no_copy_can_arrive_any_more(api: Api) -> None:
    for numbers, keep in (([1], timedelta(days=-1)), ([2], timedelta(days=1))):
        ClickClaim.create(
            process="0" * 12,
            lowest=numbers[0],
            highest=numbers[-1],
            numbers=json.dumps(numbers),
            forget_at=now() + keep,
        )
    assert forget_claims() == 1
    assert [claim.lowest for claim in ClickClaim.select()] == [2]


@pytest.mark.parametrize("drained", [1, 2], ids=["before the drain", "after it"])
def test_a_click_that_is_cancelled_again_takes_no_other_click_with_it(
    api: Api, drained: int
) -> None:
    """The answer to the first COMMIT was lost, so the replica cannot know that it is done."""
    url = api.url()
    other, refused = clicks_on(url, 2)  # of one visitor, in one second
    with db.atomic():
        store([other, refused][:drained])
    for _ in range(2):
        refused.outcome = Outcome.UNKNOWN
        cancelling.cancel(refused)
    assert len(api.get("/events?type=clicked")) == 1
    with db.atomic():
        store([refused])  # the stream brings it in the end
    assert len(api.get("/events?type=clicked")) == 1


def clicks_on(url: dict[str, Any], number: int) -> list[Click]:
    link = Link(ACTIVE, 1, url["id"], url["original_url"])
    return [
        Click(
            url["short_code"],
            visitor("127.0.0.1", "probe", ""),
            f"{'a' * 12}{n:x}",
            1_700_000_000_000,
            link,
        )
        for n in range(1, number + 1)
    ]


def orphans() -> int:
    lost = (Event.url.is_null(False) & Event.url.not_in(Url.select(Url.id))) | (
        Event.user.is_null(False) & Event.user.not_in(User.select(User.id))
    )
    return int(Event.select().where(lost).count())


def test_clicks_on_links_that_are_gone_for_good_go_with_them(api: Api) -> None:
    user = api.user()
    url = api.url(user_id=user["id"])
    api.client.delete(f"/users/{user['id']}")
    with db.atomic():
        store(clicks_on(url, 3))
    assert orphans() == 0


def test_whoever_deletes_rows_by_hand_waits_for_the_drain_and_then_deletes_its_clicks_too(
    api: Api,
) -> None:
    url = api.url(user_id=api.user()["id"])

    def delete() -> None:
        with released(), db.atomic():
            db.execute_sql("DELETE FROM users")

    by_hand = threading.Thread(target=delete)
    with db.atomic():
        store(clicks_on(url, 3))
        by_hand.start()
        by_hand.join(0.3)
        assert by_hand.is_alive()
    by_hand.join()
    assert (Url.select().count(), orphans()) == (0, 0)


def test_references_are_trusted_within_the_transaction_and_only_by_a_role_that_may(
    api: Api,
) -> None:
    url = api.url()
    for right, superuser in ((True, True), (True, False), (False, False)):
        with db.atomic() as transaction:
            if not superuser:
                become_an_ordinary_role(with_right=right)
            store(clicks_on(url, 2))
            assert trusting() == (right and isinstance(db.obj, database.Postgres))
            assert Event.select().where(Event.event_type == "clicked").count() == 2
            transaction.rollback()
        assert not trusting()


def become_an_ordinary_role(*, with_right: bool) -> None:
    """Until the transaction ends. The right is the one that postgres/roles.sql gives."""
    if isinstance(db.obj, database.Postgres):
        db.execute_sql(
            "CREATE ROLE ordinary; GRANT SELECT, INSERT, UPDATE, DELETE "
            "ON ALL TABLES IN SCHEMA public TO ordinary"
        )
        db.execute_sql("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ordinary")
        if with_right:
            db.execute_sql("GRANT SET ON PARAMETER session_replication_role TO ordinary")
        db.execute_sql("SET LOCAL ROLE ordinary")


def trusting() -> bool:
    return (
        isinstance(db.obj, database.Postgres)
        and db.execute_sql("SHOW session_replication_role").fetchone()[0] == "replica"
    )

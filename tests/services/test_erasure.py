"""The command `erase`: what is stored of a visitor, a user or a link is shown, then removed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import redis
from click.testing import Result

from app.models import Event, Url, UrlTag, User
from app.redirects.unreadable import UNREADABLE
from app.services.erasure import ERASED_URL
from testkit.servers import ROOT, Redis
from tests.conftest import Api, Command
from tests.services.test_retention import counted


def rows_of(said: Result) -> list[dict[str, Any]]:
    assert said.exit_code == 0, said.output
    return [json.loads(line) for line in said.stdout.splitlines()]


def visit(api: Api, url: dict[str, Any], *addresses: str) -> None:
    for address in addresses:
        details = {"ip": address, "user_agent": "Firefox/1", "referrer": ""}
        api.event("clicked", url_id=url["id"], details=details)


def addresses_left(api: Api) -> list[str]:
    return [event["details"]["ip"] for event in reversed(api.get("/events?type=clicked"))]


def test_a_dry_run_shows_each_row_and_changes_nothing(api: Api, holdfast: Command) -> None:
    url = api.url()
    visit(api, url, "192.0.2.7", "192.0.2.8")
    said = holdfast("erase", "--address", "192.0.2.7")
    [row] = rows_of(said)
    assert (row["table"], row["url_id"]) == ("events", url["id"])
    assert json.loads(row["details"])["ip"] == "192.0.2.7"
    assert "Would remove 0 users, 0 urls, 1 events; --apply does it" in said.stderr
    assert addresses_left(api) == ["192.0.2.7", "192.0.2.8"]


SAME = {
    "192.0.2.7": ("192.0.2.7", "::ffff:192.0.2.7", "::FFFF:C000:207"),
    "2001:db8::7": ("2001:db8::7", "2001:DB8:0:0::7", "2001:0db8:0000::0007"),
    "::1": ("::1", "0:0:0:0:0:0:0:1", "0000:0000:0000:0000:0000:0000:0000:0001"),
}
OTHERS = ("192.0.2.70", "2001:db8::8", "::2", "unknown", "")


@pytest.mark.parametrize(("address", "forms"), SAME.items())
def test_an_address_is_found_however_it_is_written(
    api: Api, holdfast: Command, address: str, forms: tuple[str, ...]
) -> None:
    visit(api, api.url(), *forms, *OTHERS)
    assert (
        "Removed 0 users, 0 urls, 3 events"
        in holdfast("erase", "--address", forms[1], "--apply").stderr
    )
    assert addresses_left(api) == list(OTHERS)
    assert rows_of(holdfast("erase", "--address", address)) == []


def test_counters_and_statistics_stay(api: Api, holdfast: Command) -> None:
    url = api.url()
    visit(api, url, "192.0.2.7")
    before = counted()
    holdfast("erase", "--address", "192.0.2.7", "--apply")
    assert addresses_left(api) == []
    assert counted() == before


def test_shortened_addresses_are_told_and_only_removed_when_asked_for(
    api: Api, holdfast: Command
) -> None:
    visit(api, api.url(), "192.0.2.0", "192.0.2.0")
    said = holdfast("erase", "--address", "192.0.2.7", "--apply")
    assert "2 events have the shortened address 192.0.2.0" in said.stderr
    assert len(addresses_left(api)) == 2
    holdfast("erase", "--address", "192.0.2.0", "--apply")
    assert addresses_left(api) == []


def test_clicks_that_wait_in_redis_belong_to_it(api: Api, holdfast: Command) -> None:
    url = api.url()
    api.follow(url, 2)
    assert len(rows_of(holdfast("erase", "--address", "127.0.0.0"))) == 2


@pytest.mark.parametrize("name", ["ada", "Ada@EXAMPLE.com"])
def test_a_user_goes_with_links_and_events_everywhere(
    api: Api, holdfast: Command, name: str
) -> None:
    ada, bob = api.user("ada"), api.user("bob")
    own, other = api.url(user_id=ada["id"]), api.url(user_id=bob["id"])
    api.follow(own)
    api.event("shared", url_id=other["id"], user_id=ada["id"])
    api.event("shared", url_id=own["id"], user_id=bob["id"])
    key = api.key(user_id=ada["id"])
    api.key("bob's", user_id=bob["id"])
    shown = rows_of(holdfast("erase", "--user", name))
    assert [row["table"] for row in shown] == ["users", "api_keys", "urls", *["events"] * 4]
    assert (shown[1]["name"], "hash" in shown[1]) == ("deploy", False)
    assert User.select().count() == 2
    said = holdfast("erase", "--user", name, "--apply")
    assert "Removed 1 users, 1 urls, 4 events" in said.stderr
    assert [user.username for user in User.select()] == ["bob"]
    assert [event["user_id"] for event in api.get("/events")] == [bob["id"]]
    assert api.client.get(f"/keys/{key['id']}").status_code == 404
    assert api.client.get(f"/{own['short_code']}").status_code == 404


@pytest.mark.parametrize("deleted", [False, True])
def test_a_link_is_blank_and_its_code_stays_taken(
    api: Api, holdfast: Command, deleted: bool
) -> None:
    url = api.url("https://example.com/ada", title="Ada", short_code="mine", tags=["ada"])
    other = api.url()
    api.follow(url)
    if deleted:
        api.client.delete(f"/urls/{url['id']}")
    shown = rows_of(holdfast("erase", "--link", "mine"))
    assert {row["table"] for row in shown} == {"urls", "events"}
    assert holdfast("erase", "--link", "mine", "--apply").exit_code == 0
    noted = api.get(f"/audit?kind=url&action=erase&subject_id={url['id']}")
    assert [(each["before"], each["after"]) for each in noted] == [({"short_code": "mine"}, None)]
    row = Url.get_by_id(url["id"])
    assert (row.original_url, row.title, row.tags) == (ERASED_URL, None, "[]")
    assert UrlTag.select().count() == 0
    assert [event.url_id for event in Event.select()] == [other["id"]]
    assert api.client.get("/mine").status_code == 404
    taken = {"original_url": "https://example.com/", "short_code": "mine"}
    assert api.client.post("/urls", json=taken).status_code == 409


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Give one of"),
        (["--address", "1.2.3.4", "--user", "ada"], "Give one of"),
        (["--address", "1.2.3"], "1.2.3 is no IP address"),
        (["--user", "nobody"], "There is no user nobody"),
        (["--link", "nothing"], "There is no link nothing"),
    ],
)
def test_a_wrong_request_is_refused(
    api: Api, holdfast: Command, arguments: list[str], reason: str
) -> None:
    said = holdfast("erase", *arguments)
    assert said.exit_code != 0
    assert reason in said.output


@pytest.mark.services
@pytest.mark.parametrize("how", ["--address 2001:db8::7", "--link mine", "--user ada"])
def test_copies_of_unreadable_stream_entries_go_too(
    shared: Api, holdfast: Command, held: redis.Redis, redis_server: Redis, how: str
) -> None:
    ada = shared.user("ada")
    shared.url(short_code="mine", user_id=ada["id"])
    meant = 'v2 {"ip": "2001:DB8:0::7"} to:mine'
    others = ["", 'v2 {"ip": "2001:db8::70"} to:mine2', "\udcff 12001:db8::7 -mine"]
    for text in (meant, *others, *(["x"] * 250), meant):
        held.xadd(UNREADABLE, {"click": text.encode(errors="surrogateescape")})
    shown = rows_of(holdfast("erase", *how.split(), redis_url=redis_server.url))
    copies = [row for row in shown if row["table"] == UNREADABLE]
    assert [row["text"] for row in copies] == [f"click {meant}"] * 2
    assert held.xlen(UNREADABLE) == 255
    said = holdfast("erase", *how.split(), "--apply", redis_url=redis_server.url)
    assert "Removed 2 copies of unreadable stream entries" in said.stderr
    assert held.xlen(UNREADABLE) == 253


def test_it_refuses_while_redis_is_away(holdfast: Command) -> None:
    said = holdfast("erase", "--address", "192.0.2.7", redis_url="redis://127.0.0.1:1/0")
    assert (said.exit_code, "Redis does not answer" in said.output) == (1, True)


def test_the_commands_of_the_page_work_as_they_stand(api: Api, holdfast: Command) -> None:
    page = (ROOT / "docs" / "privacy.md").read_text()
    commands = re.findall(r"^\.venv/bin/holdfast (.*)$", page, re.MULTILINE)
    assert len(commands) == 6
    user = api.user("ada")
    api.url(user_id=user["id"])
    visit(api, api.url(short_code="launch"), "192.0.2.77")
    for command in commands:
        said = holdfast(*command.split())
        assert said.exit_code == 0, said.output
        assert " 0 events" not in said.stderr, command
    assert (User.select().count(), Event.select().count()) == (0, 0)

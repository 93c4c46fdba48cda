"""Discord gets every alert once and in order, however it and the relay behave meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import time

import pytest

from testkit.servers import wait_for
from tests.alert_relay.conftest import RelayFactory
from tests.alert_relay.notifications import alert, notification, resolved
from tests.alert_relay.programs import Relay
from tests.discord import Discord, Failure


def fire(relay: Relay, *numbers: int) -> list[str]:
    """One notification for each number; returns the titles that Discord shall see."""
    for number in numbers:
        assert (
            relay.post(notification(alert(instance=f"app{number}"), group=f"group {number}")) == 200
        )
    return [f"🔴 Critical: InstanceDown (app{number})" for number in numbers]


def test_an_alert_and_its_resolution_reach_discord(relay: Relay, discord: Discord) -> None:
    assert relay.post(notification(alert())) == 200
    assert relay.post(notification(resolved())) == 200
    relay.wait_until(sent=2, queued=0, last_error=None)
    assert discord.titles == [
        "🔴 Critical: InstanceDown (app1)",
        "🟢 Resolved: InstanceDown (app1)",
    ]


def test_what_came_while_discord_was_unavailable_arrives_once_and_in_order(
    relay: Relay, discord: Discord
) -> None:
    discord.close()
    expected = fire(relay, 1, 2, 3, 4, 5)
    relay.wait_until(queued=5)
    wait_for(lambda: relay.status()["failed"] >= 2, what="attempts")
    discord.open()
    relay.wait_until(queued=0, sent=5)
    assert discord.titles == expected


def test_a_killed_relay_loses_nothing_and_tells_nothing_twice(
    relay: Relay, discord: Discord
) -> None:
    told = fire(relay, 1)
    relay.wait_until(sent=1)
    discord.close()
    expected = told + fire(relay, 2, 3)
    relay.kill()
    discord.open()
    relay.start()
    fire(relay, 1, 2, 3)  # Alertmanager had no answer, as far as it remembers
    relay.wait_until(queued=0, sent=2)
    assert discord.titles == expected


def test_what_is_queued_is_known_even_if_the_relay_died_before_it_wrote_that_down(
    relay: Relay, discord: Discord
) -> None:
    discord.close()
    expected = fire(relay, 1, 2)
    relay.kill()
    (relay.spool / "told.json").unlink()
    relay.start()
    fire(relay, 1, 2)
    relay.wait_until(queued=2)
    discord.open()
    relay.wait_until(queued=0, sent=2)
    assert discord.titles == expected


@pytest.mark.parametrize(
    "failure",
    [
        Failure(429, header=0.7),
        Failure(429, body=0.7),
        Failure(429, header=0.1, body=0.7),
        Failure(503, header=0.7),
    ],
    ids=["header", "body", "the longer one", "503"],
)
def test_discord_is_asked_again_when_it_said(
    relay: Relay, discord: Discord, failure: Failure
) -> None:
    discord.failures = [failure, failure]
    expected = fire(relay, 1, 2)
    relay.wait_until(sent=2, queued=0, failed=2)
    assert discord.titles == expected
    pauses = [
        later - earlier for earlier, later in zip(discord.calls, discord.calls[1:], strict=False)
    ]
    assert min(pauses[:2]) >= 0.7


def test_a_server_error_is_followed_by_growing_pauses(relay: Relay, discord: Discord) -> None:
    discord.failures = [Failure(500), Failure(502)]
    expected = fire(relay, 1)
    relay.wait_until(sent=1)
    first, second = (
        later - earlier for earlier, later in zip(discord.calls, discord.calls[1:], strict=False)
    )
    assert (discord.titles, first >= 0.5, second >= 1) == (expected, True, True)
    assert re.findall(r"again in (\S+) s", (relay.folder / "log").read_text()) == ["0.5", "1.0"]


def test_a_message_that_discord_refuses_is_kept_and_holds_up_nobody(
    relay: Relay, discord: Discord
) -> None:
    discord.failures = [Failure(404)]
    expected = fire(relay, 1, 2)
    relay.wait_until(sent=1, refused=1, queued=0)
    assert discord.titles == expected[1:]
    [kept] = (relay.spool / "refused").iterdir()
    assert "404" in json.loads(kept.read_text())["reason"]
    assert expected[0] in kept.read_text()


def test_a_refused_message_that_is_put_back_is_sent(relay: Relay, discord: Discord) -> None:
    discord.failures = [Failure(404)]
    expected = fire(relay, 1)
    relay.wait_until(refused=1)
    [kept] = (relay.spool / "refused").iterdir()
    kept.rename(relay.spool / kept.name)
    relay.wait_until(sent=1, queued=0)
    assert discord.titles == expected


def test_a_file_that_is_no_message_holds_up_nobody(relay: Relay, discord: Discord) -> None:
    (relay.spool / "00000000000000000001.json").write_text("{")
    expected = fire(relay, 1)
    relay.wait_until(sent=1, queued=0)
    assert discord.titles == expected


def test_a_repeated_call_is_sent_once(relay: Relay, discord: Discord) -> None:
    fire(relay, 1, 1, 1)
    fire(relay, 2)
    relay.wait_until(sent=2, queued=0)
    assert len(relay.log.read_text().splitlines()) == 4


def test_only_what_is_new_in_a_group_is_sent(relay: Relay, discord: Discord) -> None:
    relay.post(notification(alert(instance="app1")))
    relay.post(notification(alert(instance="app1"), alert(instance="app2")))
    relay.post(notification(resolved(instance="app1"), alert(instance="app2")))
    relay.wait_until(sent=3, queued=0)
    assert [title.split(":")[0] for title in discord.titles] == [
        "🔴 Critical",
        "🔴 Critical",
        "🟢 Resolved",
    ]


@pytest.mark.parametrize(
    "failure", [Failure(429, header=200), Failure(hangs=True)], ids=["waiting", "sending"]
)
def test_sigterm_ends_it_at_once(
    relay_with: RelayFactory,
    discord: Discord,
    failure: Failure,
) -> None:
    """Docker would wait for ten seconds; no wait of the relay's is shorter than its own."""
    idle, relay = (relay_with(DISCORD_WEBHOOK_URL=discord.url) for _ in range(2))
    discord.failures = [failure]
    fire(relay, 1)
    wait_for(lambda: bool(discord.calls), what="a call")
    assert seconds_to_end(relay) < 4 + 2 * seconds_to_end(idle)


def seconds_to_end(relay: Relay) -> float:
    began = time.monotonic()
    relay.stop()
    return time.monotonic() - began


def test_what_was_not_sent_at_sigterm_is_sent_after_the_next_start(
    relay: Relay, discord: Discord
) -> None:
    discord.failures = [Failure(429, header=200)]
    expected = fire(relay, 1, 2)
    wait_for(lambda: bool(discord.calls), what="a call")
    relay.stop()
    relay.start()
    relay.wait_until(sent=2, queued=0)
    assert discord.titles == expected


def test_a_worker_that_dies_is_replaced(relay: Relay, discord: Discord) -> None:
    [worker] = relay.children()
    os.kill(worker, signal.SIGKILL)
    wait_for(
        lambda: worker not in relay.children() and bool(relay.children()) and relay.answers(),
        what="another worker",
    )
    expected = fire(relay, 1)
    relay.wait_until(sent=1)
    assert discord.titles == expected


def test_the_webhooks_address_is_shown_nowhere(relay: Relay, discord: Discord) -> None:
    discord.failures = [Failure(500), Failure(404)]
    fire(relay, 1)
    relay.wait_until(refused=1)
    shown = (
        (relay.folder / "log").read_text()
        + json.dumps(relay.status())
        + relay.call("/metrics")[1].decode()
    )
    assert "very-secret" not in shown


def test_a_broken_pipeline_is_reported_once_and_so_is_its_end(
    relay_with: RelayFactory, discord: Discord
) -> None:
    relay = relay_with(DISCORD_WEBHOOK_URL=discord.url, WATCHDOG_SECONDS="1")
    relay.wait_until(sent=1, watchdog="silent")
    relay.kill()
    relay.start()
    relay.wait_until(watchdog="silent")
    watchdog = notification(alert("Watchdog"))
    wait_for(lambda: relay.post(watchdog) == 200 and len(discord.titles) > 1, what="the news")
    assert discord.titles == ["🔴 The alert pipeline is silent", "🟢 The alert pipeline is back"]


def test_the_watchdog_itself_is_noted_and_not_sent(relay: Relay, discord: Discord) -> None:
    relay.post(notification(alert("Watchdog")))
    expected = fire(relay, 1)
    relay.wait_until(sent=1, watchdog="ok")
    assert (discord.titles, relay.status()["last_watchdog_at"] is None) == (expected, False)

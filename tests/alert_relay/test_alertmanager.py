"""From Alertmanager's door to Discord, with our own configuration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testkit.servers import wait_for
from tests.alert_relay.programs import Alertmanager, Relay
from tests.discord import Discord

pytestmark = pytest.mark.services


@pytest.fixture
def alertmanager(relay: Relay) -> Iterator[Alertmanager]:
    manager = Alertmanager(relay)
    try:
        manager.start()
        yield manager
    finally:
        manager.destroy()


def an(
    name: str, severity: str = "critical", instance: str = "app1", ends: bool = False, **labels: str
) -> dict[str, Any]:
    now = datetime.now(UTC)
    given = {"alertname": name, "severity": severity, "instance": instance, **labels}
    return {
        "labels": {key: value for key, value in given.items() if value},
        "annotations": {"summary": f"{name} at {instance}"},
        "startsAt": now.isoformat(),  # one that began long ago would not wait for its group
        "endsAt": (now if ends else now + timedelta(minutes=5)).isoformat(),
    }


def shows(discord: Discord, *titles: str) -> None:
    wait_for(lambda: len(discord.titles) >= len(titles), what=f"{titles} in {discord.titles}")
    assert discord.titles == list(titles)


def test_an_alert_and_its_resolution_arrive_once(
    alertmanager: Alertmanager, discord: Discord
) -> None:
    alertmanager.post(an("InstanceDown"))
    shows(discord, "🔴 Critical: InstanceDown (app1)")
    alertmanager.post(an("InstanceDown", ends=True))
    shows(discord, "🔴 Critical: InstanceDown (app1)", "🟢 Resolved: InstanceDown (app1)")


def test_a_critical_alert_silences_its_warning_and_no_other(
    alertmanager: Alertmanager, discord: Discord
) -> None:
    alertmanager.post(an("Slow", "warning"), an("Slow", "warning", "app2"), an("Slow"))
    shows(discord, "🔴 Critical: Slow (app1)", "🟠 Warning: Slow (app2)")


def test_warnings_that_arise_together_are_one_message(
    alertmanager: Alertmanager, discord: Discord
) -> None:
    alertmanager.post(*[an("Slow", "warning", f"app{number}") for number in (1, 2, 3)])
    wait_for(lambda: bool(discord.told), what="a message")
    assert [sorted(told.titles) for told in discord.told] == [
        [f"🟠 Warning: Slow (app{number})" for number in (1, 2, 3)]
    ]


def test_when_no_replica_is_left_each_one_is_not_named(
    alertmanager: Alertmanager, discord: Discord
) -> None:
    alertmanager.post(an("AllInstancesDown", instance=""))
    shows(discord, "🔴 Critical: AllInstancesDown")
    alertmanager.post(an("InstanceDown"), an("InstanceDown", instance="app2"))
    alertmanager.post(an("RedisDown"))
    shows(discord, "🔴 Critical: AllInstancesDown", "🔴 Critical: RedisDown (app1)")


def test_the_watchdog_reaches_the_relay_and_not_discord(
    alertmanager: Alertmanager, relay: Relay, discord: Discord
) -> None:
    alertmanager.post(an("Watchdog", "none", ""))
    relay.wait_until(watchdog="ok")
    assert (relay.status()["queued"], discord.told) == (0, [])


def test_nothing_is_lost_or_sent_twice_while_discord_and_then_the_relay_are_unavailable(
    alertmanager: Alertmanager, relay: Relay, discord: Discord
) -> None:
    alertmanager.post(an("A"))
    shows(discord, "🔴 Critical: A (app1)")
    discord.close()
    for number, name in enumerate("BC"):
        alertmanager.post(an(name))
        relay.wait_until(queued=number + 1)
    relay.kill()
    alertmanager.post(an("D"))
    alertmanager.post(an("A", ends=True))
    relay.start()
    relay.wait_until(queued=4)
    discord.open()
    relay.wait_until(queued=0, sent=4)
    expected = ["🔴 Critical: A (app1)", "🔴 Critical: B (app1)", "🔴 Critical: C (app1)"]
    assert discord.titles[:3] == expected
    assert sorted(discord.titles[3:]) == ["🔴 Critical: D (app1)", "🟢 Resolved: A (app1)"]

"""What alerts look like in Discord, and that its limits hold whatever they contain."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.alert_relay import alerts
from monitoring.alert_relay.embeds import Links, messages
from tests.alert_relay.notifications import alert, notification, resolved
from tests.discord import problems

LINKS = Links("http://localhost:3000", "https://example.org/holdfast/")


def told(*given: dict[str, Any], links: Links = LINKS) -> list[dict[str, Any]]:
    read = [
        alerts.Alert(each, each["status"], each["labels"], each["annotations"])
        for each in notification(*given)["alerts"]
    ]
    return [body for body, _ in messages(read, links)]


def embed(given: dict[str, Any], links: Links = LINKS) -> dict[str, Any]:
    [message] = told(given, links=links)
    [only] = message["embeds"]
    shown: dict[str, Any] = only
    return shown


def fields(given: dict[str, Any], links: Links = LINKS) -> dict[str, str]:
    return {field["name"]: field["value"] for field in embed(given, links)["fields"]}


@pytest.mark.parametrize(
    ("given", "colour", "title"),
    [
        (alert("Down", severity="critical"), 0xE74C3C, "🔴 Critical: Down (app1)"),
        (alert("Slow", severity="warning"), 0xE67E22, "🟠 Warning: Slow (app1)"),
        (resolved("Down", severity="critical"), 0x2ECC71, "🟢 Resolved: Down (app1)"),
        (alert("Odd", severity="page", instance=""), 0x3498DB, "🔵 Alert: Odd"),
    ],
)
def test_colour_and_title_say_how_bad_it_is(given: dict[str, Any], colour: int, title: str) -> None:
    shown = embed(given)
    assert (shown["color"], shown["title"]) == (colour, title)


def test_it_says_what_where_when_and_how_much() -> None:
    given = resolved(
        "Slow",
        job="holdfast",
        annotations={"summary": "Slow answers", "description": "p95 is 2 s", "value": "2.1"},
    )
    assert embed(given)["description"] == "Slow answers\np95 is 2 s"
    assert fields(given, Links()) == {
        "Severity": "critical",
        "Instance": "app1",
        "Value": "2.1",
        "Started": "2026-01-02 03:04:05 UTC",
        "Ended": "2026-01-02 04:04:05 UTC",
        "Labels": "job=holdfast",
    }


def test_a_firing_alert_has_no_end() -> None:
    assert "Ended" not in fields(alert(endsAt="2026-01-02T04:04:05Z"))


def test_links_lead_to_the_alerts_dashboard_and_to_its_runbook_entry() -> None:
    given = alert(
        annotations={"dashboard": "/d/holdfast", "runbook_url": "docs/runbook.md#instancedown"}
    )
    links = "[Dashboard](http://localhost:3000/d/holdfast) · [Runbook](https://example.org/holdfast/docs/runbook.md#instancedown)"
    assert fields(given)["Links"] == links
    assert fields(given, Links())["Links"] == r"docs/runbook.md\#instancedown"


def test_an_alert_that_names_whole_addresses_needs_no_base() -> None:
    given = alert(annotations={"runbook_url": "https://example.net/run (1)"})
    assert "Links" not in fields(given, Links())
    given = alert(annotations={"runbook_url": "https://example.net/run_(1)"})
    assert fields(given, Links())["Links"] == "[Runbook](https://example.net/run_%281%29)"


def test_the_title_is_a_link_only_where_discord_takes_the_host() -> None:
    assert "url" not in embed(alert())
    assert (
        embed(alert(), Links("https://grafana.example.org"))["url"] == "https://grafana.example.org"
    )


def test_formatting_and_mentions_in_labels_are_only_text() -> None:
    given = alert(
        "*a_b*",
        instance="<@1> [x](http://x)",
        annotations={"summary": "@everyone `x` # ||y|| ~~z~~"},
    )
    [message] = told(given)
    assert message["allowed_mentions"] == {"parse": []}
    assert message["embeds"][0]["title"] == r"🔴 Critical: \*a\_b\* (\<@1\> \[x\]\(http://x\))"
    assert message["embeds"][0]["description"] == r"@everyone \`x\` \# \|\|y\|\| \~\~z\~\~"


def test_ten_alerts_are_one_message_and_the_eleventh_begins_another() -> None:
    assert [
        len(message["embeds"]) for message in told(*[alert(instance=f"app{n}") for n in range(25)])
    ] == [10, 10, 5]


@pytest.mark.parametrize(
    "text",
    ["x" * 9000, "_" * 9000, "🔴" * 9000, "\ud800" * 9000, "\x00\x1b" * 50, " ", "", "\\" * 9000],
    ids=lambda text: ascii(text)[1:9],
)
def test_no_text_breaks_discords_limits_or_loses_an_alert(text: str) -> None:
    annotations = dict.fromkeys(
        ("summary", "description", "value", "runbook_url", "dashboard"), text
    )
    given = [
        alert(
            text,
            severity=text,
            instance=f"{text}{n}",
            other=text,
            annotations=annotations,
            startsAt=text,
        )
        for n in range(30)
    ]
    shown = told(*given)
    assert [problems(message) for message in shown] == [[]] * len(shown)
    assert sum(len(message["embeds"]) for message in shown) == 30

"""Alerts as Discord's messages: what they look like, and Discord's limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from monitoring.alert_relay.alerts import Alert
from monitoring.alert_relay.settings import is_url

Embed = dict[str, Any]
Body = dict[str, Any]

_RED, _ORANGE, _GREEN, _BLUE = 0xE74C3C, 0xE67E22, 0x2ECC71, 0x3498DB
_LOOKS = {"critical": (_RED, "🔴"), "warning": (_ORANGE, "🟠")}
_EMBEDS, _ALL_TEXT, _CONTENT, _TITLE = 10, 6000, 2000, 256
_DESCRIPTION, _SHORT, _LONG = (
    2000,
    256,
    1000,
)  # below what Discord allows, so that one alert always fits into a message
_LONGEST_LINK = 400
_LONGEST_TEXT = 2001  # more would only be cut
_ESCAPES = str.maketrans({each: f"\\{each}" for each in r"\*_~`|>#[]()<"})
_IN_OTHER_PLACES = frozenset(("alertname", "instance", "severity"))
_OUR_FILE = re.compile(r"[\w./-]{1,100}\.md(#[\w-]{1,100})?")


@dataclass(frozen=True)
class Links:
    """Where the dashboards and the runbook are; "": nowhere."""

    grafana: str = ""
    runbook: str = ""

    def dashboard_of(self, alert: Alert) -> str:
        return _joined(self.grafana, alert.annotations.get("dashboard", ""))

    def runbook_of(self, alert: Alert) -> str:
        return _joined(self.runbook, alert.annotations.get("runbook_url", ""))


def _joined(base: str, entry: str) -> str:
    """`entry` when it is an address, else its place under `base`; "" when there is none."""
    entry = entry.strip()
    address = (
        entry
        if is_url(entry)
        else base and "/".join(part for part in (base.rstrip("/"), entry.lstrip("/")) if part)
    )
    address = quote(
        address, safe="%/:=&?~#+!$,;@[]'*", errors="replace"
    )  # a bracket would end the link
    return address if is_url(address) and len(address) <= _LONGEST_LINK else ""


def messages(alerts: Sequence[Alert], links: Links) -> Iterator[tuple[Body, list[Alert]]]:
    """The messages that tell `alerts`, as few as Discord allows, each with those it tells."""
    batch: list[tuple[Alert, Embed]] = []
    for alert in alerts:
        embed = _embed(alert, links)
        if (
            len(batch) == _EMBEDS
            or sum(_size_of(each) for _, each in batch) + _size_of(embed) > _ALL_TEXT
        ):
            yield _message(batch)
            batch = []
        batch.append((alert, embed))
    if batch:
        yield _message(batch)


def _message(batch: list[tuple[Alert, Embed]]) -> tuple[Body, list[Alert]]:
    first, others = batch[0][1]["title"], len(batch) - 1
    return body(first + (f" and {others} more" if others else ""), [embed for _, embed in batch]), [
        alert for alert, _ in batch
    ]


def body(content: str, embeds: list[Embed]) -> Body:
    """Nobody is pinged, whatever a label says."""
    return {"content": cut(content, _CONTENT), "embeds": embeds, "allowed_mentions": {"parse": []}}


def pipeline_message(silent: bool, seconds: int) -> Body:
    """The one alert that Alertmanager cannot raise: its own absence."""
    if not silent:
        title, words, colour = (
            "🟢 The alert pipeline is back",
            "Alertmanager's Watchdog came again.",
            _GREEN,
        )
    else:
        title, colour = "🔴 The alert pipeline is silent", _RED
        words = (
            f"No Watchdog came for {seconds} seconds: Prometheus, Alertmanager or the way from them"
            " is broken, and no other alert can arrive."
        )
    return body(title, [{"title": title, "description": words, "color": colour}])


def _embed(alert: Alert, links: Links) -> Embed:
    colour, emoji = (_GREEN, "🟢") if alert.resolved else _LOOKS.get(alert.severity, (_BLUE, "🔵"))
    word = (
        "Resolved"
        if alert.resolved
        else alert.severity.capitalize()
        if alert.severity in _LOOKS
        else "Alert"
    )
    where = f" ({escaped(alert.instance)})" if alert.instance else ""
    embed: Embed = {
        "title": cut(f"{emoji} {word}: {escaped(alert.name)}{where}", _TITLE),
        "color": colour,
        "fields": _fields(alert, links),
    }
    told = [escaped(alert.annotations.get(key, "")).strip() for key in ("summary", "description")]
    embed["description"] = cut(
        "\n".join(text for text in told if text) or "No description.", _DESCRIPTION
    )
    moment = alert.time("endsAt" if alert.resolved else "startsAt")
    if moment:
        embed["timestamp"] = moment.isoformat(timespec="seconds")
    dashboard = links.dashboard_of(alert)
    if "." in (
        urlsplit(dashboard).hostname or ""
    ):  # Discord refuses a whole message for an address such as http://localhost:3000
        embed["url"] = dashboard
    return embed


def _fields(alert: Alert, links: Links) -> list[dict[str, Any]]:
    ended = _moment(alert.time("endsAt")) if alert.resolved else ""
    short = {
        "Severity": escaped(alert.severity),
        "Instance": escaped(alert.instance),
        "Value": escaped(alert.annotations.get("value", "")),
        "Started": _moment(alert.time("startsAt")),
        "Ended": ended,
    }
    others = ", ".join(
        f"{name}={text}"
        for name, text in sorted(alert.labels.items())
        if name not in _IN_OTHER_PLACES
    )
    long = {"Labels": escaped(others), "Links": _places(alert, links)}
    fields = [(name, cut(text, _SHORT), True) for name, text in short.items()] + [
        (name, cut(text, _LONG), False) for name, text in long.items()
    ]
    return [
        {"name": name, "value": text, "inline": inline} for name, text, inline in fields if text
    ]


def _places(alert: Alert, links: Links) -> str:
    """Where to read on; what to do is named also when no link can lead there."""
    dashboard, runbook, entry = (
        links.dashboard_of(alert),
        links.runbook_of(alert),
        alert.annotations.get("runbook_url", ""),
    )
    places = (
        dashboard and f"[Dashboard]({dashboard})",
        f"[Runbook]({runbook})" if runbook else _OUR_FILE.fullmatch(entry) and escaped(entry),
    )
    return " · ".join(place for place in places if place)


def _moment(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""


def escaped(text: str) -> str:
    """Without what Discord would take for formatting or a mention."""
    whole = text[:_LONGEST_TEXT].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return "".join(each for each in whole if each.isprintable() or each == "\n").translate(_ESCAPES)


def cut(text: str, limit: int) -> str:
    """At most `limit` of Discord's characters, which are UTF-16's."""
    text = text.strip()
    if size(text) <= limit:
        return text
    return (
        text.encode("utf-16-le")[: 2 * (limit - 1)].decode("utf-16-le", "ignore").rstrip("\\ ")
        + "…"
    )


def size(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _size_of(embed: Embed) -> int:
    """What counts towards Discord's limit for a message."""
    texts = [
        embed["title"],
        embed["description"],
        *(field[part] for field in embed["fields"] for part in ("name", "value")),
    ]
    return sum(size(text) for text in texts)

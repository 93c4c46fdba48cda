"""What the relay answers and records, with and without a webhook, and the settings it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields
from http.client import HTTPConnection
from pathlib import Path

import pytest

from monitoring.alert_relay.settings import Settings
from testkit.servers import HANGS_SECONDS, ROOT, has_ipv6
from tests.alert_relay.conftest import RelayFactory
from tests.alert_relay.notifications import alert, notification, resolved
from tests.alert_relay.programs import Relay
from tests.discord import Discord


@pytest.fixture(scope="module")
def alone() -> Iterator[Relay]:
    """A relay without a webhook, for all tests here."""
    relay = Relay()
    try:
        relay.start()
        yield relay
    finally:
        relay.destroy()


def test_without_a_webhook_it_records_and_says_that_it_forwards_nothing(alone: Relay) -> None:
    before = len(list(alone.evidence.iterdir()))
    assert alone.post(notification(alert(), resolved(instance="app2"))) == 200
    assert len(list(alone.evidence.iterdir())) == before + 2
    status = alone.status()
    assert (status["forwarding"], status["queued"], status["sent"]) == (
        "off: DISCORD_WEBHOOK_URL is not set",
        0,
        0,
    )


def test_the_whole_payload_is_one_line_of_the_log(alone: Relay) -> None:
    payload = notification(alert(instance="zürich\n\ud800"), group="a group")
    assert alone.post(payload) == 200
    line = json.loads(alone.log.read_text().splitlines()[-1])
    assert line.pop("receivedAt") > "2026"
    assert line == payload


def test_the_evidence_of_an_alert_is_a_file_with_the_time_and_its_name(alone: Relay) -> None:
    given = alert("Disk", instance="db:9100", fingerprint="abc")
    assert alone.post(notification(given)) == 200
    newest = max(alone.evidence.iterdir())
    assert re.fullmatch(r"20\d{6}T\d{6}\.\d{9}Z-Disk-db_9100-firing-abc\.json", newest.name)
    assert given.items() <= json.loads(newest.read_text()).items()


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "a/b", "..", ".", "\x00", "x" * 5000, "ä🔴", "-rf *", "\ud800"],
    ids=lambda name: ascii(name)[1:20],
)
def test_no_label_leads_out_of_the_evidence_folder(alone: Relay, name: str) -> None:
    before = set(alone.evidence.iterdir())
    assert alone.post(notification(alert(name, instance=name, fingerprint=name))) == 200
    [written] = set(alone.evidence.iterdir()) - before
    assert re.fullmatch(r"[A-Za-z0-9._-]{20,250}", written.name)
    assert written.is_file()


def test_the_watchdog_leaves_no_trace_in_the_records(alone: Relay) -> None:
    alone.post(notification(alert()))
    before = alone.log.read_text(), len(list(alone.evidence.iterdir()))
    assert alone.post(notification(alert("Watchdog"))) == 200
    assert (alone.log.read_text(), len(list(alone.evidence.iterdir()))) == before
    assert alone.status()["watchdog"] == "ok"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"alerts": {}}',
        b'{"alerts": [1]}',
        b'{"alerts": [{}]}',
        b'{"alerts": [{"status": "firing"}]}',
        b'{"alerts": [{"status": "odd", "labels": {}}]}',
        b'{"alerts": [{"status": ["firing"], "labels": {}}]}',
        b'{"alerts": [{"status": "firing", "labels": {"alertname": 1}}]}',
        b'{"alerts": [{"status": "firing", "labels": {}, "annotations": []}]}',
        b'{"alerts": [], "groupKey": 1}',
        b'{"alerts": [], "x": NaN}',
        b'{"alerts": [], "x": 1e999}',
        b'{"alerts": ' + b"[" * 100_000,
    ],
    ids=lambda body: body[:60].decode("latin-1"),
)
def test_what_is_no_notification_is_a_400_and_is_not_recorded(alone: Relay, body: bytes) -> None:
    before = alone.log.read_bytes() if alone.log.exists() else b""
    status, answer = alone.call("/alerts", body)
    shown = json.loads(answer)
    assert (status, shown["error"], shown["status"], set(shown)) == (
        400,
        "Bad Request",
        400,
        {"error", "message", "status", "request_id"},
    )
    assert (alone.log.read_bytes() if alone.log.exists() else b"") == before


def test_a_hand_made_call_may_leave_almost_everything_out(alone: Relay) -> None:
    assert alone.post({"alerts": [{"status": "firing", "labels": {"alertname": "Test"}}]}) == 200


@pytest.mark.parametrize(
    ("path", "body", "content_type", "expected"),
    [
        ("/nowhere", None, "application/json", 404),
        ("/alerts", None, "application/json", 405),
        ("/alerts", b'{"alerts": []}', "text/plain", 400),
    ],
)
def test_every_error_has_the_same_shape(
    alone: Relay, path: str, body: bytes | None, content_type: str, expected: int
) -> None:
    status, answer = alone.call(path, body, content_type)
    shown = json.loads(answer)
    assert (status, shown["status"], bool(shown["message"]), bool(shown["request_id"])) == (
        expected,
        expected,
        True,
        True,
    )


def test_a_body_of_more_than_512_kib_is_a_413(alone: Relay) -> None:
    with closing(HTTPConnection("127.0.0.1", alone.port, timeout=HANGS_SECONDS)) as connection:
        connection.putrequest("POST", "/alerts")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(512 * 1024 + 1))
        connection.endheaders()
        response = connection.getresponse()
        shown = json.loads(response.read())
        assert (response.status, shown["status"], shown["error"]) == (413, 413, "Content Too Large")


def test_a_body_of_unknown_length_is_one_too(alone: Relay) -> None:
    with closing(HTTPConnection("127.0.0.1", alone.port, timeout=HANGS_SECONDS)) as connection:
        chunks = (b" " * 65536 for _ in range(9))
        connection.request(
            "POST", "/alerts", chunks, {"Content-Type": "application/json"}, encode_chunked=True
        )
        assert connection.getresponse().status == 413


DEAR = {
    "objects": b"{}",
    "lists": b"[" * 29 + b"]" * 29,
    "numbers": b"1e5",
    "objects of one key": b'{"a":{"b":0}}',
    "texts": b'"\\ud83d"',
}


@pytest.mark.services
@pytest.mark.parametrize("unit", DEAR.values(), ids=DEAR)
def test_the_largest_bodies_at_once_stay_within_the_containers_memory(
    relay_with: RelayFactory, unit: bytes
) -> None:
    relay = relay_with()
    body = (
        b'{"alerts": [], "x": ['
        + b",".join([unit] * ((512 * 1024 - 100) // (len(unit) + 1)))
        + b"]}"
    )
    with ThreadPoolExecutor(4) as pool:
        assert {
            status for status, _ in pool.map(lambda _: relay.call("/alerts", body), range(8))
        } <= {200, 400}
    assert most_memory(relay) < 128 * 1024


def most_memory(relay: Relay) -> int:
    """KiB that the relay's processes have had in memory at most, together."""
    assert relay.process is not None
    master = relay.process.pid
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in (master, *map(int, children))]
    return sum(int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) for text in texts)


def test_a_notification_of_too_many_alerts_is_refused_completely(alone: Relay) -> None:
    before = len(list(alone.evidence.iterdir()))
    assert (
        alone.post(notification(*(alert(instance=f"app{number}") for number in range(1001)))) == 400
    )
    assert len(list(alone.evidence.iterdir())) == before


def test_what_it_writes_is_private(relay: Relay) -> None:
    assert relay.post(notification(alert())) == 200
    files = [
        relay.log,
        *relay.evidence.iterdir(),
        *(file for file in relay.spool.iterdir() if file.is_file()),
    ]
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_metrics_count_what_was_sent(relay: Relay, discord: Discord) -> None:
    relay.post(notification(alert()))
    relay.wait_until(sent=1)
    lines = relay.call("/metrics")[1].decode().splitlines()
    assert {
        "alert_relay_queued 0",
        "alert_relay_sent_total 1",
        "alert_relay_refused_total 0",
        "alert_relay_discord_failures_total 0",
    } <= set(lines)


@pytest.mark.parametrize("folder", ["evidence", "spool"])
def test_what_cannot_be_stored_is_a_500_so_that_alertmanager_repeats_it(
    relay: Relay, discord: Discord, folder: str
) -> None:
    place = getattr(relay, folder)
    away = place.rename(place.with_suffix(".away"))
    assert relay.post(notification(alert())) == 500
    away.rename(place)
    assert relay.post(notification(alert())) == 200
    relay.wait_until(sent=1, queued=0)
    assert len(discord.told) == 1


def test_a_full_disk_is_a_500_and_discord_gets_nothing_that_was_not_recorded(
    relay_with: RelayFactory, discord: Discord
) -> None:
    relay = relay_with(DISCORD_WEBHOOK_URL=discord.url, ALERTS_LOG="/dev/full")
    status, answer = relay.call("/alerts", json.dumps(notification(alert())).encode())
    assert (status, json.loads(answer)["message"]) == (
        500,
        "The notification could not be stored: No space left on device",
    )
    assert (relay.status()["queued"], discord.calls) == (0, [])


@pytest.mark.parametrize(
    ("text", "forwarding"), [(True, "on"), (False, "off: DISCORD_WEBHOOK_URL is not set")]
)
def test_the_webhook_may_be_in_a_file_and_an_empty_one_is_none(
    tmp_path: Path, relay_with: RelayFactory, text: bool, forwarding: str
) -> None:
    secret = tmp_path / "webhook"
    secret.write_text("http://127.0.0.1:9/hook\n" if text else "")
    assert relay_with(DISCORD_WEBHOOK_URL_FILE=str(secret)).status()["forwarding"] == forwarding


def test_it_does_not_start_with_settings_that_it_cannot_use() -> None:
    relay = Relay(
        DISCORD_WEBHOOK_URL="discord.com/secret",
        GRAFANA_URL="x",
        ALERT_RELAY_PORT="0",
        WATCHDOG_SECONDS="-1",
        SPOOL_DIRECTORY="/dev/null/x",
    )
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "monitoring.alert_relay"],
            cwd=ROOT,
            env=relay.environ,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        relay.destroy()
    named = [line.split()[0] for line in ended.stderr.splitlines()]
    assert (ended.returncode, named) == (
        1,
        [
            "DISCORD_WEBHOOK_URL",
            "GRAFANA_URL",
            "ALERT_RELAY_PORT",
            "WATCHDOG_SECONDS",
            "SPOOL_DIRECTORY",
        ],
    )
    assert "secret" not in ended.stderr


def test_the_document_names_every_setting_with_its_default() -> None:
    document = (ROOT / "docs/alert-pipeline.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^`|]*?)`? \|", document, re.MULTILINE))
    assert rows == {
        field.name.upper(): str(getattr(Settings(), field.name)) or "none"
        for field in fields(Settings)
    }


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_it_listens_on_an_ipv6_address_too(host: str) -> None:
    if not has_ipv6():
        return
    relay = Ipv6Relay(ALERT_RELAY_HOST=host)
    try:
        relay.start()
        assert relay.call("/health")[0] == 200
    finally:
        relay.destroy()


class Ipv6Relay(Relay):
    @property
    def url(self) -> str:
        return f"http://[::1]:{self.port}"

"""Rules, dashboards and the runbook speak of things that exist, and of each other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.check_panels import dashboards as stored_dashboards
from monitoring.check_panels import overlaps, queries, trouble_of
from monitoring.grafana import build
from testkit.servers import Server
from testkit.webserver import ROOT
from tests.conftest import Api

PROMETHEUS = ROOT / "monitoring" / "prometheus"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ENTRIES = dict(re.findall(r"^## (\w+)\n\n(.+?)\n\n", RUNBOOK, re.MULTILINE))
QUERIES = [
    line
    for block in re.findall(r"```promql\n(.*?)```", RUNBOOK, re.DOTALL)
    for line in block.splitlines()
]
RULES = [
    rule
    for path in sorted(PROMETHEUS.glob("rules/*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
TESTS = [
    test
    for path in sorted(PROMETHEUS.glob("tests/*.yml"))
    for test in yaml.safe_load(path.read_text())["tests"]
]
EXPORTED = set((ROOT / "tests" / "exporter_metrics.txt").read_text().split())
PROMETHEUS_OWN = {"up", "ALERTS"}


def panel_queries() -> list[str]:
    return [
        query
        for dashboard in stored_dashboards().values()
        for panel in dashboard["panels"]
        for query in queries(panel)
    ]


def metrics_of(query: str) -> set[str]:
    """The names of all series that a query asks for."""
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without|ignoring)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()", bare)) - {
        "and",
        "or",
        "unless",
        "by",
        "on",
        "bool",
    }


def instruments() -> dict[str, set[str]]:
    """What app/metrics.py and app/services/health.py declare, each with its series' names."""
    source = (ROOT / "app" / "metrics.py").read_text() + (
        ROOT / "app" / "services" / "health.py"
    ).read_text()
    histograms = set(re.findall(r'Histogram\(\s*"(\w+)"', source))
    others = set(
        re.findall(
            r'(?:Counter|Gauge|CounterMetricFamily|GaugeMetricFamily)\(\s*"(\w+)"'
            r'|^ +\(\s*"(\w+)",\s*"',
            source,
            re.MULTILINE,
        )
    )
    plain = {name for pair in others for name in pair if name}
    return {name: {name} for name in plain} | {
        name: {f"{name}_{part}" for part in ("bucket", "sum", "count")} for name in histograms
    }


def key_of(name: str, labels: dict[str, str]) -> tuple[str, str | None, str | None]:
    return name, labels.get("severity"), labels.get("window")


def test_every_query_asks_for_series_that_exist() -> None:
    known = (
        RECORDED
        | EXPORTED
        | PROMETHEUS_OWN
        | {name for names in instruments().values() for name in names}
    )
    asked = {
        query: metrics_of(query)
        for query in [*(rule["expr"] for rule in RULES), *panel_queries(), *QUERIES]
    }
    assert len(set().union(*asked.values())) > 60
    assert {query: names - known for query, names in asked.items() if names - known} == {}


def test_every_exported_series_that_is_listed_is_asked_for() -> None:
    assert (
        EXPORTED
        - {
            name
            for query in [*(rule["expr"] for rule in RULES), *panel_queries(), *QUERIES]
            for name in metrics_of(query)
        }
        == set()
    )


def test_every_instrument_is_used_by_a_dashboard_or_an_alert() -> None:
    asked = {
        name
        for query in [*(rule["expr"] for rule in ALERTS), *panel_queries()]
        for name in metrics_of(query)
    }
    through = {
        name for rule in RULES if rule.get("record") in asked for name in metrics_of(rule["expr"])
    }
    assert len(instruments()) > 15
    assert {
        name for name, series in instruments().items() if not series & (asked | through)
    } == set()


@pytest.mark.services
def test_the_application_gives_every_series_that_it_declares(
    bound: Callable[..., Api], redis_server: Any
) -> None:
    api = bound(redis_url=redis_server.url)
    api.get("/users")
    given = set(re.findall(r"^(\w+)[{ ]", api.client.get("/metrics").text, re.MULTILINE))
    assert {name for names in instruments().values() for name in names} == given


def test_every_alert_says_how_bad_it_is_what_happened_and_where_to_read_on() -> None:
    uids = {dashboard["uid"] for dashboard in stored_dashboards().values()}
    for alert in ALERTS:
        notes = alert["annotations"]
        assert alert["labels"]["severity"] in (
            {"none"} if alert["alert"] == "Watchdog" else {"critical", "warning"}
        )
        assert set(notes) == {"summary", "description", "runbook_url", "dashboard"}, alert["alert"]
        assert "{{ $value" in notes["description"], alert["alert"]
        assert notes["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"
        assert notes["dashboard"].removeprefix("/d/") in uids


def test_the_runbook_has_an_entry_for_every_alert_with_its_severities_and_for_nothing_else() -> (
    None
):
    severities: dict[str, set[str]] = {}
    for alert in ALERTS:
        severities.setdefault(alert["alert"], set()).add(alert["labels"]["severity"])
    assert {name: set(line.split(" and ")) for name, line in ENTRIES.items()} == severities


@pytest.mark.parametrize(
    "part",
    [
        "**First:** ",
        "**Means:** ",
        "Look:\n\n```promql\n",
        "Compose:\n\n```sh\n",
        "Swarm:\n\n```sh\n",
        "**End:** ",
    ],
)
def test_every_entry_of_the_runbook_has_all_its_parts(part: str) -> None:
    entries = RUNBOOK.split("\n## ")[1:]
    assert [entry.split("\n")[0] for entry in entries if entry.count(part) != 1] == []


def test_no_shell_block_of_the_runbook_mixes_compose_and_swarm() -> None:
    blocks = re.findall(r"(\w+):\n\n```sh\n(.*?)```", RUNBOOK, re.DOTALL)
    foreign = {
        "Compose": r"docker (service|stack|node|exec)|holdfast_",
        "Swarm": r"docker compose",
    }
    assert len(blocks) == 2 * len(ENTRIES)
    assert [text for kind, text in blocks if re.search(foreign[kind], text)] == []


def test_the_index_of_the_runbook_has_every_alert_under_its_severity() -> None:
    rows = re.findall(
        r"^\| (critical|warning|none)( or warning)?\b.*? \| (.*) \|$", RUNBOOK, re.MULTILINE
    )
    indexed = {
        name: {first, *(["warning"] if second else [])}
        for first, second, names in rows
        for name in re.findall(r"\[(\w+)\]\(#\w+\)", names)
    }
    assert indexed == {name: set(line.split(" and ")) for name, line in ENTRIES.items()}


def test_every_link_within_the_documents_leads_to_a_heading() -> None:
    pages = {
        path: {
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
        }
        for path in (ROOT / "docs").glob("*.md")
    }
    broken = [
        (path.name, link)
        for path in pages
        for name, link in re.findall(r"\]\(([\w./-]*?)#([\w-]+)\)", path.read_text())
        if (target := (path.parent / name if name else path)) in pages and link not in pages[target]
    ]
    assert broken == []


def test_two_alerts_of_one_name_differ_in_their_labels() -> None:
    keys = [key_of(alert["alert"], alert["labels"]) for alert in ALERTS]
    assert len(set(keys)) == len(keys)


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    firing, silent = set(), set()
    for test in TESTS:
        for check in test["alert_rule_test"]:
            fired = {
                key_of(check["alertname"], expected["exp_labels"])
                for expected in check.get("exp_alerts", [])
            }
            firing |= fired
            silent |= {
                key
                for alert in ALERTS
                if (key := key_of(alert["alert"], alert["labels"])) not in fired
                and key[0] == check["alertname"]
            }
    wanted = {key_of(alert["alert"], alert["labels"]) for alert in ALERTS}
    assert firing == wanted
    assert wanted - silent == {("Watchdog", "none", None)}


@pytest.mark.services  # it needs promtool
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-swarm.yml"])
def test_prometheus_accepts_its_configuration_and_all_rules(name: str) -> None:
    assert promtool("check", "config", str(PROMETHEUS / name)) == ""


@pytest.mark.services  # it needs promtool
def test_every_alert_fires_when_it_should_and_only_then() -> None:
    assert promtool("test", "rules", *map(str, sorted(PROMETHEUS.glob("tests/*.yml")))) == ""


@pytest.mark.services  # it needs promtool
def test_prometheus_understands_every_query_of_the_runbook(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(QUERIES)]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "runbook", "rules": rules}]})
    )
    assert promtool("check", "rules", "--lint=none", str(tmp_path / "rules.yml")) == ""


def promtool(*arguments: str) -> str:
    """What it complains about; "" for nothing."""
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    return done.stdout + done.stderr if done.returncode else ""


def test_swarm_differs_from_compose_only_in_how_replicas_and_nodes_are_found() -> None:
    compose, swarm = (
        yaml.safe_load((PROMETHEUS / name).read_text())
        for name in ("prometheus.yml", "prometheus-swarm.yml")
    )
    found = [
        [
            job.pop("dns_sd_configs", None)
            for job in each["scrape_configs"]
            if job["job_name"] in ("holdfast", "node")
        ]
        for each in (compose, swarm)
    ]
    assert [
        [names["names"] for configs in each if configs for names in configs] for each in found
    ] == [[], [["tasks.app"], ["tasks.node-exporter"]]]
    for job in compose["scrape_configs"]:
        if job["job_name"] in ("holdfast", "node"):
            del job["static_configs"]
    assert swarm == compose


def test_the_stored_dashboards_are_what_the_code_builds() -> None:
    folder = Path(build.HERE, "dashboards")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: build.rendered(each) for name, each in build.dashboards().items()
    }


def test_every_panel_asks_the_data_source_that_is_provisioned() -> None:
    source = yaml.safe_load(
        (ROOT / "monitoring/grafana/provisioning/datasources/prometheus.yml").read_text()
    )["datasources"][0]
    targets = [
        target
        for dashboard in stored_dashboards().values()
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]
    assert len(targets) > 50
    assert {(target["datasource"]["type"], target["datasource"]["uid"]) for target in targets} == {
        (source["type"], source["uid"])
    }


def test_panels_lie_side_by_side_within_the_page_and_have_ids_of_their_own() -> None:
    for dashboard in stored_dashboards().values():
        panels = dashboard["panels"]
        assert list(overlaps(panels)) == []
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
        assert len({panel["id"] for panel in panels}) == len(panels)


def test_panels_that_overlap_are_found() -> None:
    def panel(title: str, x: int, y: int) -> dict[str, Any]:
        return {"title": title, "gridPos": {"x": x, "y": y, "w": 8, "h": 8}}

    assert list(overlaps([panel("one", 0, 0), panel("beside", 8, 0), panel("below", 0, 8)])) == []
    assert list(overlaps([panel("one", 0, 0), panel("two", 7, 7)])) == ["one lies over two"]


def test_the_quick_reference_names_every_alert() -> None:
    reference = build.dashboards()["holdfast.json"]["panels"][-1]["options"]["content"]
    assert {alert["alert"] for alert in ALERTS} == set(
        re.findall(r"^\| (\w+) \| .", reference, re.MULTILINE)
    ) - {"Alert"}


class Prometheus(Server):
    """The real one, with nothing to scrape."""

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder}

    def command(self) -> list[str]:
        (self.folder / "none.yml").write_text("{}")
        return [
            "prometheus",
            f"--config.file={self.folder}/none.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def answers(self) -> bool:
        try:
            return trouble_of(self.url, "vector(1)") == ""
        except OSError:
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    server = Prometheus()
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.mark.services
def test_a_panel_that_is_empty_or_asks_nonsense_is_found(prometheus: Prometheus) -> None:
    assert trouble_of(prometheus.url, "no_such_series") == "no data"
    assert trouble_of(prometheus.url, "vector(0) / 0") == "no data"
    assert "parse error" in trouble_of(prometheus.url, "sum(")

"""How the stack stands once it is up: containers, ports, users, targets, rules and the way of the
alerts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.stack.compose import ONCE, REPLICAS, Broken, Stack, docker, get_json, rule_files
from tests.stack.pace import wait_for
from tests.stack.report import Failed, Report, require

_OURS = (*REPLICAS, "worker", "alert-relay", "nginx", "redis", "postgres")
_MAY_WRITE = "touch /opt/holdfast/x /opt/venv/x /etc/x /usr/x 2>/dev/null"


def check(report: Report, stack: Stack) -> None:
    report.step("every container is up and healthy", _containers, stack)
    report.step("only Nginx is open to the world", _ports, stack)
    report.step("nobody is root, nor can become it, or write beside its volumes", _confined, stack)
    report.step("each container has its own secrets, the application no superuser", _secrets, stack)
    report.step("Redis refuses who has no password", _redis_password, stack)
    report.step("every target of Prometheus is up", _targets, stack)
    report.step("every rule is loaded and evaluated", _rules, stack)
    report.step("Grafana is up", _grafana, stack)


def check_watchdog(report: Report, stack: Stack) -> None:
    """It comes a minute after the start at the latest."""
    report.step("Prometheus knows Alertmanager, the Watchdog arrives", _watchdog, stack)


def _containers(stack: Stack) -> str:
    found = stack.inspect_all()
    require(set(found) == set(stack.services()), f"only {sorted(found)}")
    states = {service: each["State"] for service, each in found.items()}
    ended = {
        service: state["ExitCode"] for service, state in states.items() if not state["Running"]
    }
    require(ended == dict.fromkeys(ONCE, 0), f"ended: {ended}")
    health = {
        service: state.get("Health", {}).get("Status", "running")
        for service, state in states.items()
        if state["Running"]
    }
    require(set(health.values()) <= {"healthy", "running"}, health)
    asked = [service for service, each in health.items() if each == "healthy"]
    require(len(asked) == len(health) - 2, f"without a health check: {set(health) - set(asked)}")
    return f"{len(health)} run, {len(asked)} with a health check; {', '.join(ONCE)} ended with 0"


def _ports(stack: Stack) -> str:
    found: dict[str, set[str]] = {}
    for service, container in stack.inspect_all().items():
        for bindings in container["NetworkSettings"]["Ports"].values():
            for binding in bindings or []:
                found.setdefault(service, set()).add(binding["HostIp"])
    world = {
        service for service, addresses in found.items() if not addresses <= {"127.0.0.1", "::1"}
    }
    require(world == {"nginx"}, found)
    return f"on loopback: {', '.join(sorted(set(found) - world))}"


def _confined(stack: Stack) -> str:
    for service, container in stack.inspect_all().items():
        host = container["HostConfig"]
        require(
            host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"],
            f"{service}: {host['ReadonlyRootfs']}, {host['CapDrop']}",
        )
        require(
            any("no-new-privileges" in option for option in host["SecurityOpt"]),
            f"{service} may gain privileges",
        )
    users = {service: _user_of(stack.pid(service)) for service in _OURS}
    require(0 not in users.values(), users)
    try:
        stack.compose("exec", "-T", "app1", "sh", "-c", _MAY_WRITE)
    except Broken:
        return "user ids: " + ", ".join(sorted({str(user) for user in users.values()}))
    raise Failed("app1 may write into its own image")


_EXPECTED_SECRETS = {
    **dict.fromkeys(REPLICAS, "chaos_token database_password redis_password"),
    "worker": "database_password redis_password",
    "postgres": "database_password monitor_password postgres_password",
    "redis": "redis_password",
    "grafana": "grafana_password",
    "postgres-exporter": "monitor_password",
    "redis-exporter": "redis_passwords",
}
_ROLES = """
SELECT string_agg(rolname || ' ' || rolsuper, ', ' ORDER BY rolname) FROM pg_roles WHERE rolcanlogin
"""
_OWNERS = """
SELECT string_agg(DISTINCT tableowner, ' ' ORDER BY tableowner) FROM pg_tables
WHERE schemaname = 'public' AND (tablename = 'audit') = {}
"""
_RIGHTS = """
SELECT has_parameter_privilege('session_replication_role', 'SET'), current_setting('is_superuser')
"""


def _secrets(stack: Stack) -> str:
    for service in set(stack.services()) - set(ONCE):
        folder = Path("/proc", str(stack.pid(service)), "root", "run", "holdfast")
        found = " ".join(sorted(path.name for path in folder.iterdir())) if folder.exists() else ""
        require(found == _EXPECTED_SECRETS.get(service, ""), f"{service} has {found or 'none'}")
    roles = stack.sql(_ROLES)
    require(roles == "holdfast false, monitor false, postgres true", roles)
    owners = stack.sql(_OWNERS.format(False))
    require(owners == "holdfast", f"tables belong to {owners}")
    sealed = _OWNERS.format(True)
    wait_for(lambda: stack.sql(sealed) == "auditor", what="the sealed audit trail")
    require(stack.sql(_RIGHTS) == "t|off", f"holdfast may: {stack.sql(_RIGHTS)}")
    seen = stack.prometheus("query?query=pg_stat_activity_count{datname='holdfast'}")["result"]
    require(seen, "the exporter sees no connection")
    return roles


def _redis_password(stack: Stack) -> str:
    said = stack.compose("exec", "-T", "redis", "redis-cli", "ping")
    require("NOAUTH" in said, f"without a password Redis says {said}")
    shown = docker("top", f"{stack.project}-redis-1", "-eo", "pid,args")
    require(stack.secret("redis_password") not in shown, "the password is in the list of processes")
    return said


def _user_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.findall(r"^Uid:\t(\d+)", status, re.MULTILINE)[0])


def _targets(stack: Stack) -> str:
    def states() -> dict[str, str]:
        return {
            f"{each['labels']['job']}/{each['labels']['instance']}": each["health"]
            for each in stack.prometheus("targets")["activeTargets"]
        }

    wait_for(lambda: set(states().values()) == {"up"}, 30, f"all targets up: {states()}")
    found = states()
    require(
        {f"holdfast/{replica}" for replica in REPLICAS} <= set(found) and len(found) == 10, found
    )
    return f"{len(found)} targets, each replica its own"


def _rules(stack: Stack) -> str:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in stack.prometheus("rules")["groups"] for rule in group["rules"]]

    written = sum(
        len(re.findall(r"^ *- (?:alert|record):", file.read_text(encoding="utf-8"), re.MULTILINE))
        for file in rule_files()
    )
    wait_for(
        lambda: all(rule["health"] == "ok" for rule in rules()), 40, "the evaluation of every rule"
    )
    require(len(rules()) == written > 0, f"{len(rules())} of {written}")
    return f"{written} rules, {sum(rule['type'] == 'alerting' for rule in rules())} of them alerts"


def _watchdog(stack: Stack) -> str:
    wait_for(
        lambda: bool(stack.prometheus("alertmanagers")["activeAlertmanagers"]),
        30,
        "Alertmanager in Prometheus",
    )
    wait_for(
        lambda: get_json(stack.url("RELAY_PORT") + "/")["watchdog"] == "ok",
        100,
        "the Watchdog at the relay",
    )
    state = get_json(stack.url("RELAY_PORT") + "/")
    require(state["forwarding"] == "on", state)
    return f"last at {state['last_watchdog_at']}"


def _grafana(stack: Stack) -> str:
    return f"database {get_json(stack.url('GRAFANA_PORT') + '/api/health')['database']}"

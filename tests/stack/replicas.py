"""Three replicas that are one service: what is written on one is seen on the others at once.

Who asks is known; files can be loaded.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

from app.redirects.visits import shortened
from tests.stack.compose import REPLICAS, Stack, fetch, get_json
from tests.stack.links import call, follow
from tests.stack.pace import wait_for
from tests.stack.report import Report, require

_ROUNDS = 10


def check(report: Report, stack: Stack) -> None:
    report.step("load_csv.py in a container, from the image and from stdin", _load_csv, stack)
    report.step("a write on one replica is seen on the others at once", _seen_at_once, stack)
    report.step("GET /logs is the same whichever replica answers", _same_logs, stack)
    report.step("X-Request-ID goes through Nginx into answer, error and log", _request_id, stack)
    report.step("a client cannot lie about its address", _client_address, stack)


def _load_csv(stack: Stack) -> str:
    said = stack.compose("exec", "-T", "app1", "python", "load_csv.py", "seed_data/products.csv")
    stack.compose(
        "exec",
        "-T",
        "app2",
        "python",
        "load_csv.py",
        "-",
        input="username,email\nstdin,stdin@example.com\n",
    )
    require(
        any(user["username"] == "stdin" for user in _list(stack, "/users")),
        "the user from stdin is not there",
    )
    require(_list(stack, "/products"), "no products")
    return said.splitlines()[-1].strip()


def _list(stack: Stack, path: str) -> Any:
    return get_json(f"{stack.url()}{path}?per_page=100")


def bases(stack: Stack) -> list[str]:
    """Every way to the service: each replica by itself, and Nginx."""
    return [
        *(f"http://{stack.address(replica, 'front')}:8000" for replica in REPLICAS),
        stack.url(),
    ]


def _seen_at_once(stack: Stack) -> str:
    ways = bases(stack)
    pairs = [
        (writer, reader) for writer, reader in itertools.product(ways, ways) if writer != reader
    ]
    for number in range(_ROUNDS):
        for writer, reader in pairs:
            _write_and_read(writer, reader, f"https://example.com/{number}")
    return (
        f"{_ROUNDS * len(pairs)} links made, changed, followed and deleted on one of {len(ways)}"
        " ways and read on another"
    )


def _write_and_read(writer: str, reader: str, address: str) -> None:
    url = call(writer, "POST", "/urls", {"original_url": address})
    require(
        call(reader, "GET", f"/urls/{url['id']}")["original_url"] == address,
        "a new link is not seen",
    )
    require(follow(reader, url["short_code"]) == (302, address), "a new link is not followed")
    call(writer, "PUT", f"/urls/{url['id']}", {"original_url": f"{address}/new"})
    require(
        follow(reader, url["short_code"]) == (302, f"{address}/new"),
        "a changed link leads where it was",
    )
    require(
        call(writer, "GET", f"/urls/{url['id']}")["click_count"] == 2,
        "a click elsewhere is not counted",
    )
    call(writer, "DELETE", f"/urls/{url['id']}")
    require(follow(reader, url["short_code"])[0] == 404, "a deleted link is followed")


def _same_logs(stack: Stack) -> str:
    ways = bases(stack)
    for number in range(30):
        fetch(f"{ways[number % len(ways)]}/users/99{number}", X_Request_ID=f"same-logs-{number}")

    def answers() -> list[Any]:
        return [get_json(f"{base}/logs?limit=200&filter=same-logs-")["logs"] for base in ways]

    found = answers()
    require(all(each == found[0] for each in found), "they differ")
    require(
        len(found[0]) == 60 and {entry["instance"] for entry in found[0]} == set(REPLICAS),
        f"{len(found[0])} entries",
    )
    return "60 entries, of three replicas"


def _request_id(stack: Stack) -> str:
    status, body, headers = fetch(f"{stack.url()}/users/424242", X_Request_ID="through-nginx-1")
    require(
        (status, headers["X-Request-ID"], json.loads(body)["request_id"])
        == (404, "through-nginx-1", "through-nginx-1"),
        body,
    )
    status, body, headers = fetch(f"{stack.url()}/users/424242", X_Request_ID="not sane")
    require(headers["X-Request-ID"] == json.loads(body)["request_id"] != "not sane", body)
    wait_for(
        lambda: (
            '"through-nginx-1"'
            in stack.compose("logs", "--no-log-prefix", "--tail", "100", "nginx")
        ),
        10,
        "the line in Nginx' log",
    )
    require(get_json(f"{stack.url()}/logs?filter=through-nginx-1")["count"] == 2, "not in the log")
    return "in Nginx' log, too"


def _client_address(stack: Stack) -> str:
    url = call(stack.url(), "POST", "/urls", {"original_url": "https://example.com/"})
    for lie in ("203.0.113.9", "203.0.113.9, 198.51.100.1"):
        status, _, _ = fetch(
            f"{stack.url()}/{url['short_code']}", X_Forwarded_For=lie, X_Real_IP=lie
        )
        require(status == 302, status)
    (address,) = {
        click["details"]["ip"]
        for click in get_json(f"{stack.url()}/events?event_type=clicked&url_id={url['id']}")
    }
    gateway = stack.inspect("nginx")["NetworkSettings"]["Networks"][f"{stack.project}_edge"][
        "Gateway"
    ]
    require(address == shortened(gateway), f"{address}, not that of {gateway}")
    return f"clicks come from {address}, this host"

"""Whether every click that was answered is stored, once, whatever died meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from testkit.load import Client, click_events
from tests.stack.load import Steady
from tests.stack.report import require


def exact(url: str, loads: Sequence[Steady], nginx_log: str) -> str:
    """A request that Nginx had to send to a second replica may be two clicks: the first one may
    have died after it had counted.
    """
    answered = {name for load in loads for name in load.clicks()}
    labels = tuple(f"{load.label}-" for load in loads)
    agents = (
        event["details"]["user_agent"] for event in click_events(Client(urlsplit(url).port or 80))
    )
    stored = Counter(agent for agent in agents if agent.startswith(labels))
    repeated = sent_twice(nginx_log)
    compare(answered, stored, repeated)
    return (
        f"{len(answered)} answered, {stored.total()} stored; Nginx sent"
        f" {len(repeated & stored.keys())} to a second replica"
    )


def compare(answered: set[str], stored: Counter[str], repeated: set[str]) -> None:
    """Nothing is lost, and only requests that Nginx sent on are stored twice."""
    lost = answered - stored.keys()
    require(
        answered and not lost,
        f"{len(lost)} of {len(answered)} answered clicks are lost: {sorted(lost)[:5]}",
    )
    more = {name for name, times in stored.items() if times > 1 or name not in answered}
    require(
        more <= repeated, f"{len(more - repeated)} clicks too many: {sorted(more - repeated)[:5]}"
    )


def sent_twice(nginx_log: str) -> set[str]:
    """The ids of the requests for which the log names several replicas."""
    entries = [json.loads(line) for line in nginx_log.splitlines() if line.startswith("{")]
    require(entries, "the log of Nginx is empty")
    return {entry["request_id"] for entry in entries if "," in entry["upstream"]}

"""What a restore from the archive brought back, beside all that was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from testkit.rollups import miscounted
from tests.drills.archived_load import Load

Query = Callable[[str], list[Any]]


@dataclass
class Result:
    """What a disaster cost; `wrong` is what should not be.

    All links up to `kept_until` must be there, and all clicks up to `drained`: until then they had
    left Redis. The database was lost at `lost_at`: later clicks wait in Redis, and must be there.
    """

    name: str
    kept_until: float
    lost_at: float
    drained: float = 0.0
    rpo: float = 0.0
    links: Counter[str] = field(default_factory=Counter)
    clicks: Counter[str] = field(default_factory=Counter)
    steps: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        links, clicks, total = self.links, self.clicks, sum(self.steps.values())
        recovery = " + ".join(f"{seconds:.1f}" for seconds in self.steps.values())
        return (
            f"| {self.name} | {self.rpo:.1f} s | {links['lost']} of {links['made']} "
            f"| {clicks['lost']} of {clicks['answered']} | {clicks['waited']} of"
            f" {clicks['after']} | {clicks['double']} | {total:.1f} s = {recovery}"
            f" | {'; '.join(self.wrong) or 'as expected'} |"
        )


_AGENTS = "SELECT details::json->>'user_agent' FROM events WHERE event_type = 'clicked'"
HEAD = (
    "| Disaster | RPO | links lost | clicks lost | clicks of the outage stored | double"
    " | RTO = restore + replay + settle + start | |\n|---|---:|---:|---:|---:|---:|---|---|"
)


def judge(query: Query, load: Load, result: Result) -> None:
    """Compares all that was answered with what is stored, as `expect_kept`."""
    there = {url for (url,) in query("SELECT original_url FROM urls")}
    lost = [at for url, at in load.links.items() if url not in there]
    result.links.update(made=len(load.links), lost=len(lost))
    stored = Counter(agent for (agent,) in query(_AGENTS))
    result.drained = max((at for at in load.drained if at < result.kept_until), default=0.0)
    expect_kept(result, load.clicks, stored, lost)
    expect(result, {"counted wrongly": not miscounted(query)})


def expect_kept(
    result: Result,
    clicks: dict[str, float],
    stored: Counter[str],
    lost_links: Sequence[float],
) -> None:
    """Notes what is lost, and which promise of `result` is broken.

    `clicks`: when each was answered; `stored`: how often; `lost_links`: when each was answered.
    """
    kept_until, lost_at = result.kept_until, result.lost_at
    missing = [at for name, at in clicks.items() if not stored[name]]
    after = [name for name, at in clicks.items() if at > lost_at]
    result.clicks.update(
        answered=len(clicks),
        lost=len(missing),
        double=sum(times - 1 for times in stored.values()),
        after=len(after),
        waited=sum(stored[name] > 0 for name in after),
    )
    result.rpo = max((lost_at - at for at in lost_links if at < lost_at), default=0.0)
    early = [at for at in missing if at < result.drained]
    promises = {
        "links lost that were made before": not [at for at in lost_links if at < kept_until],
        "clicks lost that were answered before": not early,
        "clicks of the outage lost": result.clicks["waited"] == len(after) > 0,
        "clicks stored twice": not result.clicks["double"],
    }
    expect(result, promises)


def expect(result: Result, promises: dict[str, bool]) -> None:
    result.wrong += [words for words, kept in promises.items() if not kept]

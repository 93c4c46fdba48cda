"""One drill: steady load around a fault, then a check of every promise."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

import redis

from testkit.rollups import miscounted
from tests.drills.outcome import Outcome, Rules, bad, judge_answers, judge_clicks, judge_recovery
from tests.stack import links
from tests.stack.alerts import Alerts, Expected
from tests.stack.clicks import sent_twice
from tests.stack.compose import REPLICAS, Stack, docker
from tests.stack.load import Steady
from tests.stack.pace import Stretch, fair, wait_for

_LOOK_SECONDS = 0.3
# what is sent to a container that is just starting is sent again after a second, and that one would
# be answered
_PATIENCE_SECONDS = 0.9
_CALM_SECONDS = 2
_TOLD_SECONDS = 60


Wanted = str | tuple[str, str, float]
"""The name of an alert, or name, severity, and the seconds after which it must have been told."""


class Drill(NamedTuple):
    """Short ones run in CI. What `run` raises is why its line is not as expected."""

    name: str
    run: Callable[[Ground], None]
    short: bool = False
    seconds: int = 240


class Watch:
    """Asks each replica by itself, several times a second, whether it can do everything.

    Remembers when one could not.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.last_bad: float = time.monotonic()
        self.reason = "nobody has looked yet"
        self._addresses: dict[str, str] = {}
        self._slower = Stretch()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            for replica in REPLICAS:
                try:
                    self._look(replica)
                except Exception as error:  # noqa: BLE001 - a replica that is away may show it in any way
                    self._addresses.pop(replica, None)
                    self.last_bad, self.reason = time.monotonic(), f"{replica}: {error!r}"[:200]

    def _look(self, replica: str) -> None:
        if replica not in self._addresses:
            self._addresses[replica] = self.stack.address(replica, "front")
        patience = _PATIENCE_SECONDS * self._slower()
        opened = http.client.HTTPConnection(self._addresses[replica], 8000, timeout=patience)
        with closing(opened) as connection:
            connection.request("GET", "/health/ready")
            state = json.loads(connection.getresponse().read())
        if (state["status"], state["cache"]) != ("ready", "connected"):
            raise ConnectionError(f"{state['status']}, cache {state['cache']}")


class Hit:
    """One fault under load; a drill sets what is right beside 200 and 302, and says when the cause
    has gone away.
    """

    def __init__(self, ground: Ground, name: str, load: Steady) -> None:
        self.ground, self.name, self.load = ground, name, load
        self.allowed: Collection[int] = ()
        self.redirects_too = False
        self.within = 1.0
        self.outcome = Outcome(name)
        self.told: list[Expected] = []
        self.destroyed: Collection[
            str
        ] = ()  # names of requests whose clicks the fault itself has deleted
        self.began = self.ended = float("inf")
        self.healed_at = self._last_bad = 0.0
        self._judged = 0
        self.slower = Stretch()

    def broke(self) -> None:
        self.began = time.monotonic()

    def mended(self) -> None:
        self.ended = time.monotonic()

    def healed(self) -> None:
        """Marks a moment until which something was not as it must be, although no answer and no
        replica showed it.
        """
        self.healed_at = time.monotonic()

    def lasts(self, seconds: float) -> None:
        """Waits until the fault is that old: its length is what the drill is about."""
        time.sleep(max(0.0, self.began + seconds - time.monotonic()))

    @contextmanager
    def fault(self, *alerts: Wanted) -> Iterator[None]:
        """Around it; leaves when each alert was told.

        The cause is taken for gone at the end, unless mended() says otherwise.
        """
        names = [alert if isinstance(alert, str) else alert[0] for alert in alerts]
        self.ground.wait_silent([name for each in names for name in each.split("|")])
        self.broke()
        self.began_at, self.counted = time.time(), fair()
        yield
        if self.ended == float("inf"):
            self.mended()
        self.expect(*alerts)

    def expect(self, *alerts: Wanted) -> None:
        """Waits until each was told, so many seconds after the fault began."""
        for alert in alerts:
            name, severity, seconds = (
                (alert, "any", _TOLD_SECONDS) if isinstance(alert, str) else alert
            )
            expected = self.ground.alerts.expect(self.name, name, severity)
            expected.began, expected.counted = self.began_at, self.counted
            self.told.append(expected)
            try:
                self.ground.alerts.wait_told(expected, seconds)
            except TimeoutError as error:
                self.outcome.wrong.append(str(error))

    def rules(self) -> Rules:
        slower = self.slower()
        return Rules(self.allowed, self.redirects_too, self.within, slower, self.began, self.ended)

    def last_bad(self) -> float:
        """When the last answer came that was not what a client wants to see."""
        new = self.load.answers[self._judged :]
        self._judged += len(new)
        self._last_bad = max(
            (self._last_bad, *(answer.at for answer in new if bad(answer, self.ground.targets)))
        )
        return self._last_bad


class Ground:
    """One stack, what Discord is told of it, links that are followed, and the table of what became
    of each drill.
    """

    def __init__(self, stack: Stack, alerts: Alerts) -> None:
        self.stack, self.alerts = stack, alerts
        self.codes = links.make(stack.url())
        self.targets = {
            f"/{code}": f"https://example.com/{number}" for number, code in enumerate(self.codes)
        }
        self.outcomes: list[Outcome] = []

    @contextmanager
    def strike(
        self, name: str, *, rate: float = 100, clients: int = 20, paths: Sequence[str] | None = None
    ) -> Iterator[Hit]:
        """Load from before the fault until all is well again; then the line of the table."""
        since = f"{time.time() - 1:.0f}"
        with (
            Watch(self.stack) as watch,
            Steady(self.stack.url(), paths or links.mixed(self.codes), rate, clients, name) as load,
        ):
            hit = Hit(self, name, load)
            wait_for(lambda: len(load.answers) > rate, what="the load")
            yield hit
            self._wait_well(hit, watch)
        self._judge(hit, since)
        self.outcomes.append(hit.outcome)

    def _wait_well(self, hit: Hit, watch: Watch) -> None:
        """No bad answer for a while, and every replica ready."""
        calm_since = max(time.monotonic(), hit.ended if hit.ended < float("inf") else 0)
        try:
            wait_for(
                lambda: (
                    time.monotonic() - max(calm_since, hit.last_bad(), watch.last_bad)
                    > _CALM_SECONDS
                ),
                60,
                "a calm moment",
            )
            recovered = max(hit.last_bad(), watch.last_bad, hit.healed_at) - hit.ended
            judge_recovery(hit.outcome, max(0.0, recovered), hit.slower())
        except TimeoutError:
            judge_recovery(hit.outcome, None)
            hit.outcome.wrong.append(watch.reason)

    def _judge(self, hit: Hit, since: str) -> None:
        answers, outcome = hit.load.answers, hit.outcome
        outcome.told = [
            seconds for seconds in map(self.alerts.told, hit.told) if seconds is not None
        ]
        judge_answers(outcome, answers, self.targets, hit.rules())
        try:
            self.wait_drained()
        except TimeoutError as error:
            outcome.wrong.append(str(error))
        resent = sent_twice(docker("logs", "--since", since, f"{self.stack.project}-nginx-1"))
        judge_clicks(outcome, answers, self.stored(hit.load.label), resent, hit.destroyed)
        outcome.wrong += [*self.wrong_counters(), *miscounted(self.stack.rows)[:3]]

    # ---- what a drill may ask ----

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.stack.redis_url(), socket_timeout=5)

    def wait_drained(self, seconds: float = 30) -> None:
        """By the worker: nobody here reads events before."""
        with closing(self.redis()) as client:
            wait_for(lambda: client.xlen("clicks") == 0, seconds, "an empty stream")

    def backlog_seconds(self) -> float:
        """For how long the oldest click has waited."""
        with closing(self.redis()) as client:
            oldest = client.xrange("clicks", count=1)
        return time.time() - int(oldest[0][0].split(b"-")[0]) / 1000 if oldest else 0.0

    def stored(self, label: str) -> Counter[str]:
        """How many clicks each request with this label is."""
        agent = "(details::json)->>'user_agent'"
        rows = self.stack.sql(
            f"SELECT {agent}, count(*) FROM events WHERE event_type = 'clicked' AND details LIKE"
            f" '%\"{label}-%' GROUP BY 1"
        )
        pairs = (row.rsplit("|", 1) for row in rows.splitlines())
        return Counter({name: int(count) for name, count in pairs})

    def wrong_counters(self) -> list[str]:
        """Links whose counter is not the number of their clicks."""
        codes = ", ".join(f"'{code}'" for code in self.codes)
        clicks = "(SELECT count(*) FROM events WHERE url_id = urls.id AND event_type = 'clicked')"
        found = self.stack.sql(
            f"SELECT short_code, click_count, {clicks} FROM urls WHERE short_code IN ({codes}) AND"
            f" click_count <> {clicks}"
        )
        return [
            f"the counter of {row.split('|')[0]} differs from its clicks"
            for row in found.splitlines()
        ]

    def wait_cached(self, seconds: float = 15) -> None:
        """Until Redis knows each link of the load again."""
        with closing(self.redis()) as client:
            wait_for(
                lambda: client.exists(*(f"link:{code}" for code in self.codes)) == len(self.codes),
                seconds,
                "every link in the cache",
            )

    def wait_silent(self, names: Collection[str], seconds: float = 150) -> None:
        """Until the end of each of these alerts was told: one that goes on is not told again."""
        deadline = fair() + seconds
        while self._alarming().intersection(names):
            if fair() > deadline:
                raise TimeoutError(
                    f"the end of {', '.join(names)} was not told within {seconds:g} s"
                )
            time.sleep(0.5)

    def _alarming(self) -> set[str]:
        """What Discord was told of last as a problem, and what Prometheus is about to tell."""
        last: dict[str, bool] = {}
        for title in self.alerts.discord.titles:
            state, _, what = title.partition(": ")
            last[what] = "Resolved" not in state
        firing = {
            alert["labels"]["alertname"] for alert in self.stack.prometheus("alerts")["alerts"]
        }
        return firing | {what.split(" (")[0] for what, bad_news in last.items() if bad_news}

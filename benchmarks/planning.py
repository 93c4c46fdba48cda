"""The arithmetic of docs/capacity.md: `python -m benchmarks.planning` prints its tables.

The figures at the top are measured by the commands beside them; the rest follows from them.
"""

from __future__ import annotations

from math import ceil

CPU_US = {"app": 109, "nginx": 38, "redis": 34, "worker": 20, "postgres": 44}
"""Of a cached redirect, by `make bench`: Nginx and three replicas; of its click, the last two, by
`make bench-capacity`.
"""
CACHED_LINK, WAITING_CLICK = 177, 260
"""Bytes in Redis, by the same."""
STORED_LINK, STORED_CLICK, LOGGED_CLICK = 407, 717, 1428
"""Bytes in PostgreSQL with indexes and roll-ups, and of its write-ahead log, by the same."""

REDIRECT_BYTES = 1000  # assumed: request and answer with their headers, both ways
PEAK = 3  # assumed: the busiest second has three times the average
USED = 0.5  # of a core or a thread, at the peak
WITHOUT_POSTGRES = 600  # seconds of clicks that Redis must hold
HOUR, DAY = 3600, 86400  # for an hour a link stays in Redis (CACHE_TTL_SECONDS)
KEPT_DAYS = 30  # EVENT_RETENTION_DAYS
PRICES = {"core": 20, "memory": 4, "disk": 0.1}
"""Assumed: euros a month of a rented core, GB of memory, GB of a fast disk."""

LINKS = (1_000_000, 100_000_000, 1_000_000_000)
RATES = (100, 10_000, 100_000)
_GB = 1e9


def cores(part: str, rate: int) -> float:
    return rate * CPU_US[part] / 1e6 / USED


def installations(rate: int) -> int:
    """How many Holdfasts by host name: Redis' thread and the drain are one of each."""
    drain = CPU_US["worker"] + CPU_US["postgres"]  # one waits for the other
    return max(ceil(cores("redis", rate)), ceil(rate * drain / 1e6 / USED), 1)


def redis_bytes(links: int, rate: int) -> float:
    """The most links that are followed within an hour, and clicks that wait."""
    return min(links, rate / PEAK * HOUR) * CACHED_LINK + rate * WITHOUT_POSTGRES * WAITING_CLICK


def postgres_bytes(links: int, rate: int) -> float:
    return links * STORED_LINK + rate / PEAK * DAY * KEPT_DAYS * STORED_CLICK


def price(links: int, rate: int) -> float:
    """Euros a month: twice the disk, for the archive and growth; memory for a tenth of the rows."""
    processors = max(2.0, sum(cores(part, rate) for part in CPU_US))
    disk = postgres_bytes(links, rate) / _GB
    memory = 2 + redis_bytes(links, rate) / _GB + disk / 10
    return processors * PRICES["core"] + memory * PRICES["memory"] + 2 * disk * PRICES["disk"]


def by_links() -> list[str]:
    head = "| Links | PostgreSQL | Redis, all cached |\n|---:|---:|---:|"
    return [
        head,
        *(
            f"| {links:,} | {size(links * STORED_LINK)} | {size(links * CACHED_LINK)} |"
            for links in LINKS
        ),
    ]


def by_rate() -> list[str]:
    head = (
        "| Redirects a second | replicas, cores | Nginx, cores | Redis, threads | worker and"
        " PostgreSQL, cores | Holdfasts | network | clicks a day | their rows a day | log a day |"
        "\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    return [head, *(_rate_line(rate) for rate in RATES)]


def _rate_line(rate: int) -> str:
    clicks = rate / PEAK * DAY
    parts = (cores("app", rate), cores("nginx", rate), cores("redis", rate))
    stores = cores("worker", rate) + cores("postgres", rate)
    figures = " | ".join(f"{part:.2f}" for part in (*parts, stores))
    return (
        f"| {rate:,} | {figures} | {installations(rate)} |"
        f" {rate * REDIRECT_BYTES * 8 / 1e6:,.1f} Mbit/s | {clicks / 1e6:,.1f} million |"
        f" {size(clicks * STORED_CLICK)} | {size(clicks * LOGGED_CLICK)} |"
    )


def by_both() -> list[str]:
    head = (
        "| Links | redirects a second | cores | Redis, at least | PostgreSQL, clicks of"
        f" {KEPT_DAYS} days | euros a month |\n|---:|---:|---:|---:|---:|---:|"
    )
    return [head, *(_both_line(links, rate) for links in LINKS for rate in RATES)]


def _both_line(links: int, rate: int) -> str:
    all_cores = sum(cores(part, rate) for part in CPU_US)
    return (
        f"| {links:,} | {rate:,} | {all_cores:.2f} | {size(redis_bytes(links, rate))} |"
        f" {size(postgres_bytes(links, rate))} | {round(price(links, rate), -1):,.0f} |"
    )


_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))


def size(number: float) -> str:
    unit, bytes_each = next((each for each in _UNITS if number >= each[1]), _UNITS[-1])
    return f"{number / bytes_each:,.1f} {unit}"


def main() -> None:
    for table in (by_links(), by_rate(), by_both()):
        print(*table, sep="\n", end="\n\n")


if __name__ == "__main__":
    main()

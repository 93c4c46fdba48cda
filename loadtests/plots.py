"""Latencies, rate and users over time, as one picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from loadtests.record import Figures
from loadtests.tiers import P95_LIMIT_MS

mpl.use("svg")
from matplotlib import pyplot as plt  # it must not look for a screen


def draw(path: Path, title: str, timeline: dict[int, tuple[int, Figures]]) -> None:
    mpl.rcParams["svg.hashsalt"] = "holdfast"  # the same figures are the same file
    figure, (latency, rate) = plt.subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
    seconds = list(timeline)
    for name, label in (("p50_ms", "50 %"), ("p95_ms", "95 %"), ("p99_ms", "99 %")):
        latency.plot(
            seconds,
            [getattr(figures, name) for _, figures in timeline.values()],
            label=label,
            linewidth=1,
        )
    latency.axhline(P95_LIMIT_MS, color="grey", linestyle=":", label="limit for 95 %")
    latency.set(title=title, ylabel="answered within, ms", yscale="log")
    latency.legend(loc="upper right", ncols=4, fontsize="small")
    rate.plot(
        seconds,
        [figures.requests for _, figures in timeline.values()],
        label="requests in each second",
        linewidth=1,
    )
    rate.plot(seconds, [users for users, _ in timeline.values()], label="users", linewidth=1)
    rate.plot(
        seconds,
        [figures.failures for _, figures in timeline.values()],
        label="failures",
        color="red",
        linewidth=1,
    )
    rate.set(xlabel="seconds", ylim=(0, None))
    rate.legend(loc="upper right", ncols=3, fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)

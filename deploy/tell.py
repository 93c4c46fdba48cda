"""Tells Discord, through the alert relay, that a canary was taken back, and by which figures.

tell.py --relay URL --image IMAGE --step "5 %" --figures TEXT
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any
from urllib.request import Request, urlopen


def notification(image: str, step: str, figures: str) -> dict[str, Any]:
    """As Alertmanager sends it; each has a group of its own, so that none is a repetition."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    lines = [" ".join(line.split()) for line in figures.splitlines()]
    alert = {
        "status": "firing",
        "startsAt": now,
        "labels": {
            "alertname": "CanaryRolledBack",
            "severity": "critical",
            "instance": "canary",
            "image": image,
            "step": step,
        },
        "annotations": {
            "summary": f"{image} was taken back at {step}",
            "description": "\n".join(lines),
            "runbook_url": "docs/canary.md",
        },
    }
    return {"groupKey": f"canary {image} {now}", "alerts": [alert]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tell.py")
    for name in ("relay", "image", "step", "figures"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args(arguments)
    body = json.dumps(notification(given.image, given.step, given.figures)).encode()
    asked = Request(f"{given.relay}/alerts", body, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=10):
        return 0


if __name__ == "__main__":
    sys.exit(main())

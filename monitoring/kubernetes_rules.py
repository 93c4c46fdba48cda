"""Writes the rules of the stack as PrometheusRules: `python -m monitoring.kubernetes_rules`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "monitoring" / "prometheus" / "rules"
TARGET = ROOT / "deploy" / "kubernetes" / "components" / "monitoring" / "rules.yaml"
LEFT_OUT = ("host", "watching")
"""Groups about nodes and exporters, which a cluster's own monitoring watches by other names."""

_HEAD = "# Made of monitoring/prometheus/rules by `make rules`, but for hosts and exporters.\n"
_OBJECT = """---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {{name: holdfast-{name}}}
spec:
  groups:
"""


def build() -> str:
    """One object for each file: the same name of a group may stand in two of them."""
    return _HEAD + "".join(
        _OBJECT.format(name=file.stem) + "".join(_groups(file.read_text("utf-8")))
        for file in sorted(FOLDER.glob("*.yml"))
    )


def _groups(text: str) -> list[str]:
    """Each group's lines, two columns further to the right."""
    _, _, listed = text.partition("groups:\n")
    found = re.split(r"(?m)^(?=  - name: )", listed)
    wanted = [group for group in found if group and _name(group) not in LEFT_OUT]
    return [re.sub(r"(?m)^(?=.)", "  ", group.rstrip("\n") + "\n") for group in wanted]


def _name(group: str) -> str:
    return group.split("\n")[0].removeprefix("  - name: ").partition(" #")[0].strip()


if __name__ == "__main__":
    TARGET.write_text(build(), encoding="utf-8")

"""Locust's users who repeat the reference script until they are told to leave."""

from __future__ import annotations

import gevent
from locust import task

from loadtests.asking import PLAN, Client, names
from loadtests.reference import go_round


class Repeater(Client):
    @task
    def go_round(self) -> None:
        go_round(self.ask, names, lambda: gevent.sleep(PLAN.pause_seconds))

"""The thread that sends the queued messages to Discord in order, and tries again."""

from __future__ import annotations

import logging
import os
import signal
import threading

from monitoring.alert_relay import discord
from monitoring.alert_relay.relay import Relay

log = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 30.0
_IDLE_SECONDS = 1.0
_GOODBYE_SECONDS = 1.0


class Sender(threading.Thread):
    """Runs until it is stopped; a wait is over at once then."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(name="sender", daemon=True)
        self.relay = relay
        self.stopping = threading.Event()
        self.failed_in_a_row = 0

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._turn()
        finally:
            # A bug ended this thread. Gunicorn replaces the process, which is useless without.
            if not self.stopping.wait(1):
                os.kill(os.getpid(), signal.SIGTERM)

    def stop(self) -> None:
        """Gives a message that is on its way the chance to arrive, so that it need not be sent
        again.
        """
        self.stopping.set()
        self.relay.wake.set()
        self.join(_GOODBYE_SECONDS)

    def _turn(self) -> None:
        try:
            self.relay.look_for_silence()
            if not self._deliver_one():
                self.relay.wake.wait(_IDLE_SECONDS)
                self.relay.wake.clear()
        except OSError as error:  # the disk, not the network
            self._wait(f"the spool: {error}", None)

    def _deliver_one(self) -> bool:
        """Returns whether there was one."""
        found = self.relay.next()
        if found is None:
            return False
        path, entry = found
        answer = discord.post(self.relay.settings.discord_webhook_url, entry["body"])
        if answer.again:
            self._wait(answer.reason, answer.wait_seconds)
            return True
        self.failed_in_a_row = 0
        if answer.sent:
            self.relay.sent(path)
        else:
            self.relay.refused(path, entry, answer.reason)
        return True

    def _wait(self, reason: str, asked_for: float | None) -> None:
        """As long as Discord asked for, else twice as long as the last time."""
        seconds = (
            min(_FIRST_WAIT_SECONDS * 2**self.failed_in_a_row, _LONGEST_WAIT_SECONDS)
            if asked_for is None
            else max(asked_for, 0.1)
        )
        self.failed_in_a_row = min(self.failed_in_a_row + 1, 10)
        self.relay.figures.failures += 1
        self.relay.figures.failed(reason)
        log.warning("%s; again in %.1f s", reason, seconds)
        self.stopping.wait(seconds)

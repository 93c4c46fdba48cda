"""A Discord that can fail, and relays that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.alert_relay.programs import Relay
from tests.discord import Discord

RelayFactory = Callable[..., Relay]


@pytest.fixture
def discord() -> Iterator[Discord]:
    with Discord() as open_discord:
        yield open_discord


@pytest.fixture
def relay_with() -> Iterator[RelayFactory]:
    """Starts a relay with these settings."""
    with ExitStack() as stack:

        def start(**environ: str) -> Relay:
            relay = Relay(**environ)
            stack.callback(relay.destroy)
            relay.start()
            return relay

        yield start


@pytest.fixture
def relay(relay_with: RelayFactory, discord: Discord) -> Relay:
    """One that forwards to that Discord."""
    return relay_with(DISCORD_WEBHOOK_URL=discord.url)

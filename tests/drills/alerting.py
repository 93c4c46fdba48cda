"""The drill on the way of an alert: Discord does not answer for a minute while alerts fire."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from tests.drills.drill import Drill, Ground
from tests.drills.replicas import INSTANCE, kill
from tests.stack.compose import get_json
from tests.stack.pace import wait_for
from tests.stack.report import require


def _discord_away(ground: Ground) -> None:
    """The relay keeps what it could not tell, and then tells it once."""
    discord, relay = ground.alerts.discord, ground.stack.url("RELAY_PORT")
    ground.wait_silent(INSTANCE.split("|"))
    heard = len(discord.told)
    with ground.strike("discord-away") as hit:
        discord.close()
        try:
            with hit.fault():
                kill(hit, "app3")
                wait_for(
                    lambda: get_json(f"{relay}/")["queued"] > 0, what="news that cannot be told"
                )
                hit.lasts(60)
        finally:
            discord.open()
        hit.mended()
        hit.expect((INSTANCE, "any", 120))
    ground.wait_silent(INSTANCE.split("|"))
    wait_for(lambda: get_json(f"{relay}/")["queued"] == 0, what="an empty spool")
    titles = Counter(title for told in islice(discord.told, heard, None) for title in told.titles)
    require(any("app3" in title for title in titles), f"nothing of app3 was told: {dict(titles)}")
    require(max(titles.values()) == 1, f"told more than once: {dict(titles)}")


DRILLS = [Drill("discord-away", _discord_away)]

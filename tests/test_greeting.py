"""What `make run` prints once it serves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.config import Settings
from app.greeting import greeting
from testkit.servers import free_port
from tests.conftest import Api


def test_it_names_the_address_and_the_newest_link_that_works(api: Api) -> None:
    code = api.url()["short_code"]
    off = api.url()
    api.client.put(f"/urls/{off['id']}", json={"is_active": False})
    text = greeting(Settings(app_port=8123))
    assert "Holdfast is at http://localhost:8123\n" in text
    assert f"curl -si http://localhost:8123/{code}\n" in text


@pytest.mark.usefixtures("api")
def test_without_a_link_it_says_how_to_come_by_one() -> None:
    text = greeting(Settings(app_host="[::1]", app_port=8123))
    assert "http://[::1]:8123/shorten" in text
    assert "follow one      the short_url of the answer" in text


def test_an_unavailable_database_does_not_matter(bound: Callable[..., Api]) -> None:
    url = f"postgresql+pool://nobody:nothing@127.0.0.1:{free_port()}/none"
    bound(database_url=url, redis_url="")
    assert "follow one      the short_url of the answer" in greeting(Settings())

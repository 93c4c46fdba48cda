"""The redirect over HTTP."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.conftest import Api


@pytest.mark.parametrize("times", [1, 3])
def test_every_answered_redirect_is_one_click(client: FlaskClient, api: Api, times: int) -> None:
    url = api.url("https://example.com/a?b=c")
    for _ in range(times):
        response = client.get(f"/{url['short_code']}", headers={"User-Agent": "probe", "Referer": "https://r.example/"})
        assert (response.status_code, response.headers["Location"], response.data) == (302, "https://example.com/a?b=c", b"")
    clicks = api.get("/events?event_type=clicked")
    assert len(clicks) == times
    assert clicks[0]["details"] == {
        "short_code": url["short_code"],
        "original_url": "https://example.com/a?b=c",
        "ip": "127.0.0.1",
        "user_agent": "probe",
        "referrer": "https://r.example/",
    }
    assert api.get(f"/urls/{url['id']}")["click_count"] == times
    assert api.get(f"/urls/{url['id']}/stats")["redirect_count"] == times


def test_a_deactivated_link_is_gone_also_when_it_was_just_cached_and_back_at_once(client: FlaskClient, api: Api) -> None:
    url = api.url()
    assert client.get(f"/{url['short_code']}").status_code == 302
    client.put(f"/urls/{url['id']}", json={"is_active": False})
    assert client.get(f"/{url['short_code']}").status_code == 410
    client.put(f"/urls/{url['id']}", json={"is_active": True})
    assert client.get(f"/{url['short_code']}").status_code == 302
    assert api.get(f"/urls/{url['id']}")["click_count"] == 2

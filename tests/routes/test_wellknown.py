"""robots.txt, security.txt, the report address, and the headers of redirects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.config import ConfigError, Settings
from app.database import now
from tests.answers import check
from tests.conftest import Api

Given = Callable[..., None]


def test_robots_may_follow_short_links_and_nothing_else(client: FlaskClient) -> None:
    response = check(client.get("/robots.txt"), 200)
    assert response.content_type == "text/plain; charset=utf-8"
    lines = response.text.splitlines()
    assert lines[0] == "User-agent: *"
    assert {"Disallow: /urls$", "Disallow: /urls/", "Disallow: /urls?"} < set(lines)
    assert "Disallow: /" not in lines
    assert check(client.head("/robots.txt"), 200).data == b""


def test_security_txt_says_whom_to_tell_and_until_when(
    client: FlaskClient, given_with: Given
) -> None:
    given_with(security_contact="mailto:security@example.com", base_url="https://sho.rt")
    response = check(client.get("/.well-known/security.txt"), 200)
    assert response.content_type == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in response.text.splitlines())
    assert fields["Contact"] == "mailto:security@example.com"
    assert fields["Canonical"] == "https://sho.rt/.well-known/security.txt"
    expires = datetime.fromisoformat(fields["Expires"].removesuffix("Z"))
    assert timedelta(days=30) < expires - now() < timedelta(days=365)


def test_without_a_contact_there_is_no_security_txt(client: FlaskClient) -> None:
    check(client.get("/.well-known/security.txt"), 404)


def test_a_preview_offers_an_address_for_reports(
    client: FlaskClient, api: Api, given_with: Given
) -> None:
    code = api.url()["short_code"]
    assert api.get(f"/{code}+")["report_address"] is None
    assert "Report" not in client.get(f"/{code}+", headers={"Accept": "text/html"}).text
    given_with(report_address='https://example.com/?"><b>')
    assert api.get(f"/{code}+")["report_address"] == 'https://example.com/?"><b>'
    page = client.get(f"/{code}+", headers={"Accept": "text/html"}).text
    assert '<a href="https://example.com/?&#34;&gt;&lt;b&gt;"' in page


def test_search_engines_shall_not_list_short_links(client: FlaskClient, api: Api) -> None:
    code, dead = api.url()["short_code"], api.url(is_active=False)["short_code"]
    for path, status in ((code, 302), (f"{code}+", 200), (dead, 410), ("unknown", 404)):
        for ask in (client.get, client.head):
            response = check(ask(f"/{path}"), status)
            assert response.headers["X-Robots-Tag"] == "noindex", path
            assert "Referrer-Policy" not in response.headers


@pytest.mark.parametrize("policy", ["no-referrer", "origin"])
def test_redirects_carry_the_operators_referrer_policy(
    bound: Callable[..., Api], policy: str
) -> None:
    api = bound(referrer_policy=policy)
    response = api.client.get(f"/{api.url()['short_code']}")
    assert response.headers["Referrer-Policy"] == policy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPORT_ADDRESS", "http://example.com/"),
        ("REPORT_ADDRESS", "javascript:alert(1)"),
        ("SECURITY_CONTACT", "security"),
        ("SECURITY_CONTACT", "https://a b"),
        ("REFERRER_POLICY", "never"),
        ("PRIVATE_DESTINATIONS", "no"),
        ("BLOCKED_HOSTS", "/nowhere"),
        ("ALLOWED_HOSTS", "/nowhere"),
        ("BLOCKED_HOSTS", "/"),
        ("ALLOWED_HOSTS", "/"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(name: str, value: str) -> None:
    with pytest.raises(Exception, match=f"^{name} must be "):
        Settings.from_env({name: value})


@pytest.mark.parametrize("name", ["BLOCKED_HOSTS", "ALLOWED_HOSTS"])
@pytest.mark.parametrize(
    ("content", "good"),
    [
        (b"\xff", False),
        ("example.com\n".encode("utf-16"), False),
        (b"\xef\xbb\xbfexample.com\n", True),
        (b"", True),
    ],
)
def test_a_list_of_hosts_is_text(tmp_path: Path, name: str, content: bytes, good: bool) -> None:
    file = tmp_path / "hosts.txt"
    file.write_bytes(content)
    if good:
        assert getattr(Settings.from_env({name: str(file)}), name.lower()) == str(file)
        return
    with pytest.raises(ConfigError, match=f"^{name} must be a file "):
        Settings.from_env({name: str(file)})


@pytest.mark.parametrize(
    "contact", ["a@example.com", "mailto:a@example.com", "https://example.com/report?x=1"]
)
def test_a_contact_is_an_email_or_a_url(contact: str) -> None:
    assert Settings.from_env({"REPORT_ADDRESS": contact}).report_address == contact

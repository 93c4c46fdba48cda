"""What a browser sees that follows a link which leads nowhere, or looks where one leads."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.config import ConfigError, Settings
from app.database import now
from app.models import Url
from app.services import hosts
from testkit import icon
from tests.conftest import Api
from tests.pages.reading import BROWSER


def ask(client: FlaskClient, path: str) -> TestResponse:
    answer = client.get(path, headers=BROWSER)
    assert answer.mimetype == "text/html"
    return answer


def unknown(_api: Api) -> str:
    return "unknown"


def deleted(api: Api) -> str:
    url = api.url()
    assert api.client.delete(f"/urls/{url['id']}").status_code == 204
    return str(url["short_code"])


def deactivated(api: Api) -> str:
    return str(api.url(is_active=False)["short_code"])


def expired(_api: Api) -> str:
    past = now() - timedelta(days=1)
    Url.create(short_code="old", original_url="https://example.com/", expires_at=past)
    return "old"


def spent(api: Api) -> str:
    url = api.url(max_clicks=1)
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    assert api.client.get(f"/{url['short_code']}", headers=agent).status_code == 302
    return str(url["short_code"])


def banned(api: Api) -> str:
    url = api.url("https://banned.example/")
    hosts.ban("banned.example", "phishing")
    list(hosts.renew("banned.example", "ban"))
    return str(url["short_code"])


NOBODY = "There is no such link"
REASONS = pytest.mark.parametrize(
    ("make", "status", "head"),
    [
        (unknown, 404, NOBODY),
        (deleted, 404, NOBODY),
        (deactivated, 410, "This link is turned off"),
        (expired, 410, "This link has expired"),
        (spent, 410, "This link is used up"),
        (banned, 451, "This link is blocked"),
    ],
)


@REASONS
def test_a_dead_link_says_why(
    client: FlaskClient, api: Api, make: Callable[[Api], str], status: int, head: str
) -> None:
    code = make(api)
    for path in (f"/{code}", f"/{code}+", f"/urls/{code}/redirect"):
        answer = ask(client, path)
        assert answer.status_code == status
        assert f"<h1>{head}</h1>" in answer.text
        assert path in answer.text


@REASONS
def test_a_dead_link_says_nothing_of_where_it_led(
    client: FlaskClient, api: Api, make: Callable[[Api], str], status: int, head: str
) -> None:
    text = ask(client, f"/{make(api)}").text
    assert "example" not in text
    assert "<nav" not in text
    assert 'href="/' not in re.sub(r"<link [^>]*>", "", text)


def test_a_deleted_link_looks_as_one_that_never_was(client: FlaskClient, api: Api) -> None:
    code = deleted(api)
    pages = [ask(client, f"/{each}").text.replace(each, "_") for each in (code, "unknown")]
    former, never = (re.sub(r"request [^<]+", "", each) for each in pages)
    assert former == never


def test_a_link_that_is_off_says_so_also_where_its_status_is_404(
    client: FlaskClient, api: Api, given_with: Callable[..., None]
) -> None:
    given_with(deactivated_status=404)
    answer = ask(client, f"/{deactivated(api)}")
    assert answer.status_code == 404
    assert "<h1>This link is turned off</h1>" in answer.text


def test_who_guesses_codes_is_asked_to_wait(bound: Callable[..., Api]) -> None:
    client = bound(limits="on", limit_wrong_codes=1, redis_url="").client
    answers = [ask(client, f"/guess-{number}") for number in range(3)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert "<h1>Please wait</h1>" in answers[-1].text


# ---- the operator ----


def test_without_settings_nobody_is_named(client: FlaskClient) -> None:
    text = ask(client, "/unknown").text
    assert "<img" not in text
    assert "<footer" not in text
    assert "operator" not in text


def test_the_operator_is_named_on_dead_links_and_previews(
    client: FlaskClient, api: Api, given_with: Callable[..., None], tmp_path: Path
) -> None:
    logo = tmp_path / "Our Logo.PNG"
    logo.write_bytes(b"\x89PNG")
    given_with(
        operator_name='A & B <script>"',
        operator_logo=str(logo),
        operator_contact="mailto:a@example.com",
    )
    for path in ("/unknown", f"/{api.url()['short_code']}+"):
        text = ask(client, path).text
        assert "<span>A &amp; B &lt;script&gt;&#34;</span>" in text
        assert '<a href="mailto:a@example.com">' in text
        found = re.search(r'<img src="(/assets/logo\.[0-9a-f]{12}\.png)" alt="">', text)
        assert found
        picture = client.get(found[1])
        assert (picture.data, picture.mimetype) == (b"\x89PNG", "image/png")
        assert "immutable" in picture.headers["Cache-Control"]


def test_a_logo_that_is_opened_as_a_page_runs_nothing(
    client: FlaskClient, given_with: Callable[..., None], tmp_path: Path
) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    given_with(operator_logo=str(logo))
    found = re.search(r'<img src="([^"]+)"', ask(client, "/unknown").text)
    assert found
    policy = client.get(found[1]).headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("logo.svg", b""),
        ("logo.png", b"x" * 32769),
        ("logo.html", b"x"),
        ("logo", b"x"),
        ("missing.png", None),
    ],
)
def test_a_logo_is_a_small_picture(tmp_path: Path, name: str, content: bytes | None) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^OPERATOR_LOGO must be a file of at most 32 KiB"):
        Settings.from_env({"OPERATOR_LOGO": str(file)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPERATOR_NAME", "x" * 101),
        ("OPERATOR_NAME", "a\nb"),
        ("OPERATOR_LOGO", "/"),
        ("OPERATOR_CONTACT", "javascript:alert(1)"),
    ],
)
def test_an_operator_that_cannot_be_shown_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        Settings.from_env({name: value})


# ---- the icon ----


def pictures(ico: bytes) -> list[bytes]:
    """The pixels of each PNG in an ICO file."""
    _, kind, count = struct.unpack("<HHH", ico[:6])
    assert kind == 1
    found = []
    for number in range(count):
        size, offset = struct.unpack("<II", ico[6 + 16 * number + 8 : 6 + 16 * number + 16])
        picture = ico[offset : offset + size]
        assert picture.startswith(b"\x89PNG")
        content = picture[picture.index(b"IDAT") + 4 : picture.index(b"IEND") - 8]
        found.append(zlib.decompress(content))
    return found


def test_the_icon_is_a_small_ico_file_as_the_generator_draws_it(client: FlaskClient) -> None:
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer.mimetype) == (200, "image/vnd.microsoft.icon")
    assert len(answer.data) < 4096
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    drawn = pictures(icon.draw())
    assert pictures(answer.data) == drawn
    assert [len(each) for each in drawn] == [(4 * size + 1) * size for size in (16, 32, 48)]

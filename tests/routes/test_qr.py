"""QR codes of short links: what they hold, their forms, and how long they may be kept."""

from __future__ import annotations

import struct
import zlib
from typing import Any
from xml.etree import ElementTree

import pytest
import segno
from flask.testing import FlaskClient

from tests.answers import check
from tests.conftest import Api


@pytest.fixture(params=["/urls/{id}/qr", "/{short_code}.qr"])
def path(request: pytest.FixtureRequest, api: Api) -> str:
    return str(request.param.format(**api.url()))


def pixels(png: bytes) -> list[str]:
    """The lines of a black and white PNG, as 0 (black) and 1."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, colour = struct.unpack(">2I2B", png[16:26])
    assert (depth, colour) == (1, 0)
    data_at = png.index(b"IDAT") + 4
    size = struct.unpack(">I", png[data_at - 8 : data_at - 4])[0]
    assert struct.unpack(">I", png[data_at + size :][:4])[0] == zlib.crc32(
        png[data_at - 4 : data_at + size]
    )
    raw = zlib.decompress(png[data_at : data_at + size])
    step = 1 + (width + 7) // 8
    assert len(raw) == height * step
    lines = [raw[n * step + 1 : (n + 1) * step] for n in range(height)]
    return ["".join(f"{byte:08b}" for byte in line)[:width] for line in lines]


def modules(png: bytes, border: int, level: str, text: str) -> tuple[list[str], list[str]]:
    """One pixel of each module of the picture, and what it must be."""
    code = segno.make_qr(text, error=level)
    wanted = ["".join("10"[bit] for bit in row) for row in code.matrix_iter(border=border)]
    found, side = pixels(png), len(wanted)
    scale, left_over = divmod(len(found), side)
    places = [left_over // 2 + n * scale + scale // 2 for n in range(side)]
    return ["".join(found[y][x] for x in places) for y in places], wanted


@pytest.mark.parametrize(
    ("size", "border", "level"), [(300, 4, "M"), (101, 0, "L"), (2048, 20, "H")]
)
def test_a_png_holds_the_short_url_in_exactly_this_size(
    client: FlaskClient, api: Api, size: int, border: int, level: str
) -> None:
    url = api.url()
    style = f"format=png&size={size}&border={border}&level={level}"
    answer = check(client.get(f"/urls/{url['id']}/qr?{style}"), 200)
    assert answer.content_type == "image/png"
    lines = pixels(answer.data)
    assert (len(lines), len(lines[0])) == (size, size)
    found, wanted = modules(answer.data, border, level, url["short_url"])
    assert found == wanted


def test_an_svg_is_what_is_drawn_without_a_format(client: FlaskClient, path: str) -> None:
    answer = check(client.get(f"{path}?size=512&border=2"), 200)
    assert answer.content_type == "image/svg+xml"
    root = ElementTree.fromstring(answer.data)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("512", "512")
    assert check(client.get(path), 200).data == client.get(f"{path}?format=svg").data


def test_both_addresses_give_the_same_picture(client: FlaskClient, api: Api) -> None:
    url = api.url()
    by_id, by_code = (client.get(f"/urls/{url['id']}/qr"), client.get(f"/{url['short_code']}.qr"))
    assert by_id.data == by_code.data
    assert by_id.headers["ETag"] == by_code.headers["ETag"]


def test_a_picture_may_be_kept_and_is_not_sent_twice(client: FlaskClient, path: str) -> None:
    first = check(client.get(path), 200)
    assert first.headers["Cache-Control"] == "public, max-age=86400"
    etag = first.headers["ETag"]
    assert etag.startswith('"')
    for known in (etag, f'"other", {etag}', "*", f"W/{etag}"):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]
        assert "Content-Type" not in again.headers
    other = check(client.get(f"{path}?level=H", headers={"If-None-Match": etag}), 200)
    assert other.headers["ETag"] != etag


def test_head_tells_the_same_without_the_picture(client: FlaskClient, path: str) -> None:
    head, got = client.head(path), client.get(path)
    assert head.data == b""
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    ("query", "name", "why"),
    [
        ("format=gif", "format", "must be 'svg' or 'png'"),
        ("format=", "format", "must be 'svg' or 'png'"),
        ("size=99", "size", "must be at least 100"),
        ("size=2049", "size", "must be at most 2048"),
        ("size=big", "size", "must be an integer"),
        ("border=-1", "border", "must be at least 0"),
        ("border=21", "border", "must be at most 20"),
        ("level=m", "level", "must be 'L', 'M', 'Q' or 'H'"),
    ],
)
def test_bad_values_are_refused(
    client: FlaskClient, path: str, query: str, name: str, why: str
) -> None:
    assert check(client.get(f"{path}?{query}"), 400).get_json()["errors"] == {name: why}


@pytest.mark.parametrize("path", ["/urls/99/qr", "/nosuch.qr", "/a.b.qr", "/users.qr", "/%00.qr"])
def test_an_unknown_link_has_none(client: FlaskClient, path: str) -> None:
    check(client.get(path), 404)


def test_a_deleted_link_has_none_and_a_deactivated_one_does(client: FlaskClient, api: Api) -> None:
    off, gone = api.url(is_active=False), api.url()
    client.delete(f"/urls/{gone['id']}")
    for url, status in ((off, 200), (gone, 404)):
        check(client.get(f"/urls/{url['id']}/qr"), status)
        check(client.get(f"/{url['short_code']}.qr"), status)


def test_looking_is_no_click(client: FlaskClient, api: Api) -> None:
    url = api.url()
    client.get(f"/{url['short_code']}.qr")
    assert api.clicks(url) == 0


def test_a_short_url_that_has_no_room_is_refused(
    client: FlaskClient, api: Api, given_with: Any
) -> None:
    url = api.url()
    given_with(base_url=f"https://example.com/{'a' * 700}")
    tight = check(client.get(f"/urls/{url['id']}/qr?format=png&size=100"), 400)
    assert "must be at least 1" in tight.get_json()["errors"]["size"]
    given_with(base_url=f"https://example.com/{'a' * 2000}")
    check(client.get(f"/urls/{url['id']}/qr?level=L"), 200)
    long = check(client.get(f"/urls/{url['id']}/qr?level=H"), 400)
    assert long.get_json()["errors"] == {"level": "this short URL is too long for it"}

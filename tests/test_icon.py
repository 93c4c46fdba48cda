"""The small icon: an ICO file that browsers can read, with the picture of icon.svg."""

from __future__ import annotations

import math
import re
import struct
import zlib
from typing import NamedTuple

import pytest

from testkit import icon

SVG = (icon.FILE.parent / "icon.svg").read_text()
BLUE, WHITE = (*icon._BLUE, 255), (255, 255, 255, 255)


class Picture(NamedTuple):
    size: int
    rows: list[bytes]

    def pixel(self, x: float, y: float) -> tuple[int, ...]:
        """Red, green, blue and opacity at a place of icon.svg."""
        column, row = (int(each * self.size / 32) for each in (x, y))
        return tuple(self.rows[row][4 * column : 4 * column + 4])


def pictures(ico: bytes) -> list[Picture]:
    """Reads an ICO file as its specification says; checks all lengths and sums."""
    reserved, kind, number = struct.unpack_from("<HHH", ico)
    assert (reserved, kind) == (0, 1)
    found, end = [], 6 + 16 * number
    for place in range(number):
        entry = struct.unpack_from("<BBBBHHII", ico, 6 + 16 * place)
        width, height, colours, zero, planes, bits, length, offset = entry
        assert (width, colours, zero, planes, bits, offset) == (height, 0, 0, 1, 32, end)
        end = offset + length
        found.append(Picture(width, png(ico[offset:end], width)))
    assert end == len(ico)
    return found


def png(data: bytes, size: int) -> list[bytes]:
    """The rows of a PNG of 8 bits for each of red, green, blue and opacity."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(name + content),)
        chunks[name] = content
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (size, size, 8, 6, 0, 0, 0)
    raw, step = zlib.decompress(chunks[b"IDAT"]), 1 + 4 * size
    assert len(raw) == step * size
    assert not any(raw[::step]), "rows without a filter"
    return [raw[start + 1 : start + step] for start in range(0, len(raw), step)]


def test_the_stored_file_has_the_pictures_that_the_code_draws() -> None:
    stored = pictures(icon.FILE.read_bytes())
    assert stored == pictures(icon.draw())
    assert [picture.size for picture in stored] == [16, 32, 48]


@pytest.mark.parametrize("picture", pictures(icon.FILE.read_bytes()), ids=lambda each: each.size)
def test_it_is_a_blue_square_with_round_corners_and_white_lines(picture: Picture) -> None:
    edge = 32 - 32 / picture.size
    for x, y in ((0, 0), (edge, 0), (0, edge), (edge, edge)):
        assert picture.pixel(x, y)[3] < 128, "a round corner"
    for x, y in ((16, 3), (3, 16), (29, 16), (16, 29)):
        assert picture.pixel(x, y) == BLUE
    white = [picture.pixel(*point) for line in icon._LINES for point in line[1:-1]]
    assert all(red > 80 for red, *_ in [*white, picture.pixel(16, 16)])
    if picture.size > 16:
        assert picture.pixel(16, 16) == WHITE


def numbers(pattern: str) -> list[float]:
    found = re.search(pattern, SVG)
    assert found
    return [float(each) for each in re.findall(r"-?[\d.]+", found[1])]


def test_its_shapes_and_colours_are_those_of_the_svg() -> None:
    assert numbers('viewBox="(.*?)"') == [0, 0, icon._GRID, icon._GRID]
    assert numbers('width="(.*?)"') == numbers('height="(.*?)"') == [icon._GRID]
    assert numbers('rx="(.*?)"') == [icon._CORNER]
    assert numbers('stroke-width="(.*?)"') == [icon._STROKE]
    assert f'fill="#{bytes(icon._BLUE).hex()}"' in SVG
    assert 'stroke="#fff"' in SVG
    paths = re.findall("M[^M]+", SVG.partition(' d="')[2].partition('"')[0])
    assert len(paths) == len(icon._LINES)
    for path, line in zip(paths, icon._LINES, strict=True):
        ends, middles = corners(path)
        assert ends == [pytest.approx(point) for point in (*line[:2], *line[2:][-2:])]
        for middle in middles:
            assert math.dist(line[len(line) // 2], middle) < 0.7, "the same side of the chord"


def corners(path: str) -> tuple[list[icon.Point], list[icon.Point]]:
    """The points that a path of M, l and a leads to, and the middles of its arcs."""
    found: list[icon.Point] = []
    middles = []
    for name, text in re.findall("([Mla])([^Mla]+)", path):
        *arc, x, y = (float(each) for each in re.findall(r"-?[\d.]+", text))
        if name == "M":
            found.append((x, y))
            continue
        found.append((found[-1][0] + x, found[-1][1] + y))
        if name == "a":
            assert arc[1:] == [arc[0], 0, 0, 0], "the short way, against the clock"
            middles.append(middle_of(found[-2], found[-1], arc[0]))
    return found, middles


def middle_of(start: icon.Point, end: icon.Point, radius: float) -> icon.Point:
    """Of an arc: https://www.w3.org/TR/SVG11/implnote.html#ArcConversionEndpointToCenter."""
    x, y = (start[0] - end[0]) / 2, (start[1] - end[1]) / 2
    half = math.hypot(x, y)
    out = (radius - math.sqrt(radius**2 - half**2)) / half
    return (start[0] + end[0]) / 2 + out * y, (start[1] + end[1]) / 2 - out * x

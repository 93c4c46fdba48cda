"""Draws app/pages/static/favicon.ico, the small form of icon.svg: `python -m testkit.icon`."""

from __future__ import annotations

import math
import struct
import zlib
from itertools import pairwise

from testkit.webserver import ROOT

FILE = ROOT / "app" / "pages" / "static" / "favicon.ico"
_SIZES = (16, 32, 48)
_GRID = 32  # of icon.svg
_STEPS = 4  # samples of a pixel in each direction
_BLUE, _WHITE = (0x1F, 0x5F, 0xD0), (0xFF, 0xFF, 0xFF)
_CORNER, _STROKE = 7.0, 2.6

Point = tuple[float, float]


def _half_circle(start: Point, end: Point) -> list[Point]:
    """From `start` to `end`, against the clock as icon.svg's arcs are."""
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    x, y = start[0] - middle[0], start[1] - middle[1]
    turns = [-math.pi * step / 12 for step in range(13)]
    return [
        (
            middle[0] + x * math.cos(turn) - y * math.sin(turn),
            middle[1] + x * math.sin(turn) + y * math.cos(turn),
        )
        for turn in turns
    ]


_LINES: list[list[Point]] = [
    [(13, 19), (19, 13)],
    [(11.5, 16.5), *_half_circle((9.5, 18.5), (15.1, 24.1)), (17.5, 21.7)],
    [(20.5, 15.5), *_half_circle((22.5, 13.5), (16.9, 7.9)), (14.5, 10.3)],
]


def _distance(x: float, y: float, a: Point, b: Point) -> float:
    """From a point to a segment."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = ((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy)
    along = min(1.0, max(0.0, along))
    return math.hypot(x - a[0] - along * dx, y - a[1] - along * dy)


def _is_inside(x: float, y: float) -> bool:
    """Of the square with round corners."""
    dx = max(_CORNER - x, x - _GRID + _CORNER, 0.0)
    dy = max(_CORNER - y, y - _GRID + _CORNER, 0.0)
    return math.hypot(dx, dy) <= _CORNER


def _is_line(x: float, y: float) -> bool:
    pairs = [pair for line in _LINES for pair in pairwise(line)]
    return any(_distance(x, y, a, b) <= _STROKE / 2 for a, b in pairs)


def _pixel(left: int, top: int, size: int) -> bytes:
    """Red, green, blue and opacity."""
    places = [(step + 0.5) / _STEPS for step in range(_STEPS)]
    scale = _GRID / size
    points = [((left + x) * scale, (top + y) * scale) for y in places for x in places]
    inside = [point for point in points if _is_inside(*point)]
    if not inside:
        return bytes(4)
    white = sum(_is_line(*point) for point in inside) / len(inside)
    mixed = [round(b + (w - b) * white) for b, w in zip(_BLUE, _WHITE, strict=True)]
    return bytes((*mixed, round(255 * len(inside) / len(points))))


def _png(size: int) -> bytes:
    rows = [
        b"\0" + b"".join(_pixel(left, top, size) for left in range(size)) for top in range(size)
    ]
    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def draw() -> bytes:
    """An ICO file, whose pictures are PNG."""
    pictures = [_png(size) for size in _SIZES]
    head, offset = struct.pack("<HHH", 0, 1, len(pictures)), 6 + 16 * len(pictures)
    for size, picture in zip(_SIZES, pictures, strict=True):
        head += struct.pack("<BBBBHHII", size, size, 0, 0, 1, 32, len(picture), offset)
        offset += len(picture)
    return head + b"".join(pictures)


if __name__ == "__main__":
    FILE.write_bytes(draw())

"""Draws QR codes: SVG, or PNG of exactly the wanted size."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import segno

from app.errors import InvalidInput
from app.schemas import QrQuery


def draw(text: str, style: QrQuery) -> bytes:
    """The picture of `text`; raises InvalidInput when it has no room in that style."""
    try:
        code = segno.make_qr(text, error=style.level)
    except segno.DataOverflowError:
        why = "this short URL is too long for it"
        raise InvalidInput(f"level: {why}", errors={"level": why}) from None
    return _svg(code, style) if style.format == "svg" else _png(code, style)


def _svg(code: Any, style: QrQuery) -> bytes:
    """Without a size of its own segno writes only a viewBox; the size stands before it."""
    out = BytesIO()
    options = {"xmldecl": False, "nl": False, "svgclass": None, "lineclass": None}
    code.save(out, kind="svg", border=style.border, light="#fff", omitsize=True, **options)
    opening = f'<svg width="{style.size}" height="{style.size}" '
    return out.getvalue().replace(b"<svg ", opening.encode(), 1)


def _png(code: Any, style: QrQuery) -> bytes:
    """Black and white, one bit per pixel; what whole pixels per module leave over is border."""
    modules = code.symbol_size(border=style.border)[0]
    scale, left_over = divmod(style.size, modules)
    if scale == 0:
        why = f"must be at least {modules} for this short URL and border"
        raise InvalidInput(f"size: {why} (got {style.size})", errors={"size": why})
    before = left_over // 2
    blank = _line("1" * style.size)
    lines = [blank] * before
    for row in code.matrix_iter(border=style.border):
        pixels = "".join(("0" if dark else "1") * scale for dark in row)
        lines += [_line("1" * before + pixels + "1" * (left_over - before))] * scale
    lines += [blank] * (style.size - len(lines))
    head = struct.pack(">2I5B", style.size, style.size, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(lines), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _line(bits: str) -> bytes:
    """A line of pixels behind the byte that says that it is not filtered."""
    size = (len(bits) + 7) // 8
    return b"\0" + int(bits.ljust(size * 8, "0"), 2).to_bytes(size, "big")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""Pictures of pages: small files, and how much two of them differ."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

COLOURS = 64
_SCALE = 4  # letters that are drawn a little differently are alike at this scale
_DIFFERS = 40  # of 255: grey on white
_TALLER = 8


def small(png: bytes) -> Image.Image:
    """With few colours, so that its file is small."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    return picture.quantize(COLOURS, dither=Image.Dither.NONE)


def save(picture: Image.Image, path: Path, drawn_by: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noted = PngInfo()
    noted.add_text("Software", drawn_by)
    picture.save(path, optimize=True, pnginfo=noted)


def drawn_by(picture: Image.Image) -> str:
    return str(picture.info.get("Software", ""))


def difference(one: Image.Image, other: Image.Image) -> float:
    """The share of the area that differs, from 0 to 1; 1 for another width or height."""
    if one.width != other.width or abs(one.height - other.height) > _TALLER:
        return 1.0
    height = min(one.height, other.height)
    first, second = (_scaled(each, height) for each in (one, other))
    differing = ImageChops.difference(first, second).point(lambda value: value > _DIFFERS and 255)
    return differing.histogram()[255] / (first.width * first.height)


def _scaled(picture: Image.Image, height: int) -> Image.Image:
    grey = picture.convert("RGB").convert("L").crop((0, 0, picture.width, height))
    return grey.reduce(_SCALE)

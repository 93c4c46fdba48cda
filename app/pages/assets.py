"""The style sheet, the script and the icon, each under a name that changes with its content."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import NamedTuple

from flask import Blueprint, Response

from app.errors import NotFound
from app.pages.declaring import page

_FOLDER = Path(__file__).with_name("static")
_FOREVER = "public, max-age=31536000, immutable"
_DAY = "public, max-age=86400"

bp = Blueprint("assets", __name__)


class Asset(NamedTuple):
    content: bytes
    kind: str
    url: str


@cache
def _assets() -> dict[str, Asset]:
    """By name in the folder."""
    return {path.name: _asset(path) for path in _FOLDER.iterdir() if path.is_file()}


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    kind = mimetypes.types_map.get(path.suffix, "application/octet-stream")
    return Asset(content, kind, f"/assets/{path.stem}.{digest}{path.suffix}")


@cache
def _by_url() -> dict[str, Asset]:
    return {asset.url: asset for asset in _assets().values()}


def address(name: str) -> str:
    """The path of an asset; raises KeyError for one that is not there."""
    return _assets()[name].url


@bp.get("/assets/<name>")
@page(scope="public")
def send(name: str) -> Response:
    """An asset, for a year: what changes has another name."""
    asset = _by_url().get(f"/assets/{name}")
    if asset is None:
        raise NotFound(f"There is nothing at /assets/{name[:100]}")
    return _answer(asset, _FOREVER)


@bp.get("/favicon.ico")
@page(scope="public")
def send_icon() -> Response:
    """What browsers ask for unasked."""
    return _answer(_assets()["icon.svg"], _DAY)


def _answer(asset: Asset, caching: str) -> Response:
    return Response(asset.content, mimetype=asset.kind, headers={"Cache-Control": caching})

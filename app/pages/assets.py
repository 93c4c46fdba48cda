"""The style sheet, the scripts and the icons, each under a name that changes with its content."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from flask import Blueprint, Response, current_app, request

from app.errors import NotFound
from app.pages.declaring import page

_FOLDER = Path(__file__).with_name("static")
_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")
_KINDS = {**mimetypes.types_map, ".webp": "image/webp"}  # Python 3.11 does not know it
_LARGE = 100_000
_FOREVER = "public, max-age=31536000, immutable"
_DAY = "public, max-age=86400"

bp = Blueprint("assets", __name__)


class Asset(NamedTuple):
    """`packed`: the content in gzip, b"" for what is small."""

    content: bytes
    packed: bytes
    kind: str
    url: str


@cache
def _assets() -> dict[str, Asset]:
    """By name in the folder."""
    return {path.name: _read(path) for path in _FOLDER.iterdir() if path.is_file()}


@cache
def swagger() -> dict[str, Asset]:
    """Swagger UI's, by name. They have 1.9 MB, so they are read only for those who want them."""
    folder = Path(str(files("flask_swagger_ui"))) / "dist"
    return {name: _read(folder / name) for name in _SWAGGER}


@cache
def logo(path: str) -> Asset:
    """The operator's."""
    return _read(Path(path), "logo")


def _read(path: Path, name: str = "") -> Asset:
    content, ending = path.read_bytes(), path.suffix.lower()
    digest = hashlib.sha256(content).hexdigest()[:12]
    kind = _KINDS.get(ending, "application/octet-stream")
    packed = gzip.compress(content, mtime=0) if len(content) > _LARGE else b""
    return Asset(content, packed, kind, f"/assets/{name or path.stem}.{digest}{ending}")


@cache
def _by_url() -> dict[str, Asset]:
    return {asset.url: asset for asset in _assets().values()}


def address(name: str) -> str:
    """The path of an asset; raises KeyError for one that is not there."""
    return _assets()[name].url


@bp.get("/assets/<name>")
@page(scope="public", personal=False)
def send(name: str) -> Response:
    """An asset, for a year: what changes has another name."""
    asset = _by_url().get(f"/assets/{name}") or _other(f"/assets/{name}")
    if asset is None:
        raise NotFound(f"There is nothing at /assets/{name[:100]}")
    return _answer(asset, _FOREVER)


def _other(url: str) -> Asset | None:
    path = current_app.config["OPERATOR_LOGO"]
    some = [logo(path)] if path else []
    if url.startswith("/assets/swagger-ui"):  # 1.9 MB, read for those who want them
        some += swagger().values()
    return next((asset for asset in some if asset.url == url), None)


@bp.get("/favicon.ico")
@page(scope="public", personal=False)
def send_icon() -> Response:
    """What browsers ask for unasked."""
    return _answer(_assets()["favicon.ico"], _DAY)


def _answer(asset: Asset, caching: str) -> Response:
    is_packed = bool(asset.packed) and request.accept_encodings.quality("gzip") > 0
    content = asset.packed if is_packed else asset.content
    response = Response(content, mimetype=asset.kind, headers={"Cache-Control": caching})
    if asset.packed:
        response.vary.add("Accept-Encoding")
    if is_packed:
        response.content_encoding = "gzip"
    return response

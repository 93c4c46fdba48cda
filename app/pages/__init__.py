"""Pages for people: a browser's way to the services and schemas that the API has."""

from __future__ import annotations

from flask import Flask

from app.pages import (
    assets,
    docs,
    files,
    home,
    keys,
    link,
    operator,
    overview,
    session,
    showing,
    status,
    trail,
)


def install(app: Flask) -> None:
    showing.install(app)
    operator.install(app)
    for module in (assets, docs, files, home, keys, link, overview, session, status):
        app.register_blueprint(module.bp)
    for endpoint, view in _AT_ADDRESSES_OF_THE_API.items():
        showing.replace(app, endpoint, view)


_AT_ADDRESSES_OF_THE_API = {
    "ops.show_index": home.show_index,
    "keys.list_keys": keys.show_keys,
    "audit.list_audit": trail.show_trail,
}

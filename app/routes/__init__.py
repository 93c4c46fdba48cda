"""HTTP: the list of all routes, in the order in which the documents name them."""

from __future__ import annotations

from flask import Flask

from app.routes import (
    events,
    gate,
    keys,
    logs,
    many,
    ops,
    origins,
    pages,
    products,
    qr,
    repeats,
    stats,
    users,
)
from app.routes.converters import CodeConverter, IdConverter
from app.routes.inputs import finish, refuse_misfits
from app.routes.limiting import limit, show


def install(app: Flask) -> None:
    app.url_map.converters.update(id=IdConverter, code=CodeConverter)
    app.url_map.merge_slashes = False
    for hooks in (origins, pages, gate):
        hooks.install(app)
    app.before_request(refuse_misfits)
    app.before_request(limit)
    app.after_request(finish)
    app.after_request(show)
    for module in (users, many, qr, events, stats, products, keys, logs, ops):
        app.register_blueprint(module.bp)
    repeats.install(app)

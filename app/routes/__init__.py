"""HTTP: the list of all routes, in the order in which the documents name them."""

from __future__ import annotations

from flask import Flask

from app.routes import (
    audit,
    events,
    gate,
    keys,
    logs,
    many,
    origins,
    pages,
    products,
    qr,
    repeats,
    stats,
    users,
    versions,
    wellknown,
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
    modules = (users, many, versions, qr, events, stats, audit, products, keys, logs, wellknown)
    for blueprint in dict.fromkeys(module.bp for module in modules):  # some share one
        app.register_blueprint(blueprint)
    repeats.install(app)

"""Pages for people: a browser's way to the services and schemas that the API has."""

from __future__ import annotations

from flask import Flask

from app.pages import assets, docs, home, link, operator, overview, session, showing, status


def install(app: Flask) -> None:
    showing.install(app)
    operator.install(app)
    for module in (assets, docs, home, link, overview, session, status):
        app.register_blueprint(module.bp)
    showing.replace(app, "ops.show_index", home.show_index)

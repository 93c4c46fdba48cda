"""Every endpoint declares its scope: one that does not keeps the application from starting."""

from __future__ import annotations

import pytest
from flask import Flask

from app.routes import gate
from app.routes.inputs import declares


def test_an_endpoint_without_a_scope_does_not_start() -> None:
    with pytest.raises(ValueError, match="the scope '' is missing"):
        declares(answer=str)


def test_an_endpoint_with_an_unknown_scope_does_not_start() -> None:
    with pytest.raises(ValueError, match="the scope 'all' is none of public, create, see"):
        declares(answer=str, scope="all")


def test_a_route_without_a_declaration_does_not_start() -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/open", view_func=lambda: "")
    with pytest.raises(ValueError, match=r"/open has no @declares\(..., scope=...\)"):
        gate.learn(app)

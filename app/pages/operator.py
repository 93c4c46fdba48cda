"""Who runs this server, as the pages for those who follow links say it."""

from __future__ import annotations

from typing import NamedTuple

from flask import Flask, current_app

from app.pages import assets


class Operator(NamedTuple):
    """`contact` is a URI and `logo` a path of ours; "" for what the settings do not say."""

    name: str
    contact: str
    logo: str


def install(app: Flask) -> None:
    """Reads the logo now: later its file may be gone."""
    if path := app.config["OPERATOR_LOGO"]:
        assets.logo(path)


def operator() -> Operator:
    config = current_app.config
    path = config["OPERATOR_LOGO"]
    logo = assets.logo(path).url if path else ""
    return Operator(config["OPERATOR_NAME"], config["OPERATOR_CONTACT"], logo)

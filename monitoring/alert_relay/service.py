"""The relay's HTTP: Alertmanager's webhook, and its state for people, Prometheus and Docker."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, abort, g, json, request
from werkzeug.exceptions import HTTPException

from monitoring.alert_relay import alerts
from monitoring.alert_relay.relay import Relay
from monitoring.alert_relay.sender import Sender

log = logging.getLogger(__name__)

_LARGEST_BODY = 512 * 1024  # as objects up to a hundred times of it; the container has 128 MiB
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def create_app(relay: Relay, sender: Sender) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY
    app.before_request(_name_request)
    app.after_request(_show_request_id)
    app.register_error_handler(
        HTTPException, lambda error: _error(error.code or 500, error.description or "", error)
    )
    app.register_error_handler(alerts.BadPayload, lambda error: _error(400, str(error)))
    app.register_error_handler(OSError, _no_room)

    one_at_a_time = threading.Lock()

    @app.post("/alerts")
    def take_alerts() -> dict[str, str]:
        body = _json_body()
        with one_at_a_time:
            relay.take(alerts.read(body))
        return {"status": "ok"}

    @app.get("/")
    def show_status() -> dict[str, Any]:
        return _status(relay)

    @app.get("/health")
    def show_health() -> tuple[dict[str, str], int]:
        return (
            ({"status": "ok"}, 200)
            if sender.is_alive()
            else ({"status": "the sender has died"}, 503)
        )

    @app.get("/metrics")
    def show_metrics() -> Response:
        return Response(_exposition(relay), content_type="text/plain; version=0.0.4; charset=utf-8")

    return app


def _json_body() -> bytes:
    if not request.is_json:
        raise alerts.BadPayload("the content type must be application/json")
    body = request.get_data()
    if len(body) >= _LARGEST_BODY:
        abort(413)  # chunked, and cut off without a word
    return body


def _status(relay: Relay) -> dict[str, Any]:
    figures = relay.figures
    return {
        "service": "alert-relay",
        "forwarding": "on" if relay.forwarding else "off: DISCORD_WEBHOOK_URL is not set",
        "queued": len(relay.spool.paths()),
        "sent": figures.sent,
        "refused": figures.refused,
        "failed": figures.failures,
        "last_error": figures.last_error or None,
        "last_error_at": _time(figures.last_error_at),
        "last_delivered_at": _time(figures.last_delivered_at),
        "watchdog": relay.watchdog.state(),
        "last_watchdog_at": _time(relay.watchdog.seen_at),
    }


def _exposition(relay: Relay) -> str:
    figures = relay.figures
    instruments = (
        (
            "alert_relay_queued",
            "gauge",
            "Messages that Discord has yet to get.",
            len(relay.spool.paths()),
        ),
        ("alert_relay_sent_total", "counter", "Messages that Discord took.", figures.sent),
        (
            "alert_relay_refused_total",
            "counter",
            "Messages that Discord refused for good.",
            figures.refused,
        ),
        (
            "alert_relay_discord_failures_total",
            "counter",
            "Attempts that will be repeated.",
            figures.failures,
        ),
        (
            "alert_relay_pipeline_silent",
            "gauge",
            "Whether the Watchdog alert stays away.",
            int(relay.watchdog.state() == "silent"),
        ),
    )
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name} {value}\n"
        for name, kind, text, value in instruments
    )


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S") if moment else None


def _name_request() -> None:
    offered = request.headers.get("X-Request-ID", "")
    g.request_id = offered if _SANE_ID.fullmatch(offered) else secrets.token_hex(8)


def _show_request_id(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _no_room(error: OSError) -> Response:
    """Alertmanager repeats what was answered with a 5xx."""
    log.error("a notification could not be stored: %s", error)
    return _error(500, f"The notification could not be stored: {error.strerror}")


def _phrase(status: int) -> str:
    return (
        "Content Too Large"
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        else HTTPStatus(status).phrase
    )


def _error(status: int, message: str, source: HTTPException | None = None) -> Response:
    """The same shape as the application's."""
    shown = {
        "error": _phrase(status),
        "message": message,
        "status": status,
        "request_id": g.get("request_id", ""),
    }
    response = Response(json.dumps(shown) + "\n", status, mimetype="application/json")
    if source:
        response.headers.extend(
            (name, value) for name, value in source.get_headers() if name != "Content-Type"
        )
    return response

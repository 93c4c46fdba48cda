"""Joins the parts: the only module that knows them all."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter

from app import database, errors, limits, logs, metrics, pages, routes
from app.asgi import ThreadedWsgi
from app.checks import as_uri
from app.config import Settings
from app.exposure import exposure
from app.imports import seeding
from app.migrations import schema
from app.proxies import Proxies
from app.redirects import clicks, views
from app.redirects.answers import always
from app.redirects.bans import bans
from app.redirects.batching import LoopRedis
from app.redirects.connection import redis_connection
from app.redirects.drain import drain
from app.redirects.front import Front
from app.redirects.links import cache, handshake
from app.redirects.quotas import quotas
from app.redirects.visits import addresses
from app.routes import gate, origins
from app.schemas import destinations
from app.services import audit, health, sessions
from app.services.retention import retention
from app.services.retention import start as start_retention

_open: list[Flask] = []  # at most one


class _Application(Flask):
    """Flask, which looks at each Host header once: that takes 20 us of a request's 140."""

    _MOST_HOSTS = 1000

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None, template_folder="pages/templates")
        self._hosts: set[str | None] = set()

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Raises BadHost for a name that cannot exist; no route depends on the host otherwise."""
        host = request.environ.get("HTTP_HOST") if request else None
        if request and host in self._hosts and request.environ["PATH_INFO"]:
            return self.url_map.bind("", path_info=request.path, default_method=request.method)
        adapter = super().create_url_adapter(request)
        if len(self._hosts) < self._MOST_HOSTS:
            self._hosts.add(host)
        return adapter


def create_app(settings: Settings | None = None) -> Flask:
    """The application for `settings`, by default the environment's; raises ConfigError.

    Tables, cache, clicks and log belong to the whole process. So it has one application at a
    time: a second one raises RuntimeError until `close_app` has closed the first.
    """
    if _open:
        raise RuntimeError("This process has an application already: close_app(app) closes it")
    settings = settings or Settings.from_env()
    start_log(settings)
    database.exit_if_unusable(settings.database_url)
    bind(settings)
    app = _Application(__name__)
    # Nothing here is a coroutine. Flask would check each function for each request: 20 us of 210,
    # measured in process with GET /products.
    app.ensure_sync = lambda function: function  # type: ignore[method-assign,assignment]
    app.config.update(_for_routes(settings))
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    if settings.trusted_proxies:
        _serve(app, Proxies(app.wsgi_app, settings.trusted_proxies))
    for part in (logs, schema, database, errors, routes):
        part.install(app)
    app.register_blueprint(views.bp)
    pages.install(app)
    gate.learn(app)
    schema.afterwards = partial(audit.note_settings, shown_settings(settings))
    if schema.ensure() and settings.auto_seed:
        seeding.seed_once()
    _open.append(app)
    return app


def close_app(app: Flask) -> None:
    """Closes its database connections; from now on `app` refuses requests with RuntimeError."""
    _open.remove(app)
    _serve(app, _closed)
    database.release()
    database.db.obj.close_all()


def bind(settings: Settings) -> None:
    """Lets this process use the database and the Redis of `settings`. Connects to neither yet."""
    database.db.initialize(database.connect(settings.database_url))
    database.refusal.why = ""  # it was another database's
    redis_connection.bind(settings.redis_url, handshake)
    cache.bind(settings.cache_ttl_seconds)
    clicks.bind(settings.track)
    addresses.bind(settings.visitor_address)
    quotas.bind(settings)
    retention.bind(settings.event_retention_days)
    exposure.bind(settings)
    schema.bind(drain.waiting)
    bans.forget()
    sessions.forget()
    always.bind(settings.referrer_policy)
    files = settings.blocked_hosts, settings.allowed_hosts
    destinations.bind(*files, settings.refuses_private, bans.last_hosts)


def start_log(settings: Settings) -> None:
    """Sends all log lines of this process where `settings` say."""
    logs.configure(
        settings.log_level,
        settings.instance,
        settings.log_file,
        settings.log_max_bytes,
        settings.secrets,
    )


def _for_routes(settings: Settings) -> dict[str, Any]:
    """What answers depend on besides the request; .env.example describes each."""
    return {
        "AUTH": settings.auth,
        "BASE_URL": settings.base_url.rstrip("/"),
        "CHAOS_TOKEN": settings.chaos_token,
        "CORS_ORIGINS": settings.origins,
        "DEACTIVATED_STATUS": settings.deactivated_status,
        "LOG_FILE": settings.log_file,
        "MAX_CONTENT_LENGTH": limits.UPLOAD_BYTES,
        "METRICS_DIRECTORY": settings.prometheus_multiproc_dir,
        "OPERATOR_CONTACT": as_uri(settings.operator_contact),
        "OPERATOR_LOGO": settings.operator_logo,
        "OPERATOR_NAME": settings.operator_name,
        "REPORT_ADDRESS": as_uri(settings.report_address),
        "SECURITY_CONTACT": as_uri(settings.security_contact),
    }


def shown_settings(settings: Settings) -> dict[str, Any]:
    """The settings that are no secret and the same for all replicas, for the audit trail."""
    names = [field.name for field in fields(settings) if field.repr and field.name not in _OWN]
    return {name.upper(): getattr(settings, name) for name in names}


_OWN = ("instance", "prometheus_multiproc_dir", "track")


def _serve(app: Flask, wsgi: Any) -> None:
    app.wsgi_app = wsgi  # type: ignore[method-assign]


def _closed(_environ: dict[str, Any], _start_response: Any) -> Any:
    raise RuntimeError("This application is closed")


def _answered() -> None:
    """Writes what answers that are about to leave have left: killed later, none is missing."""
    metrics.write()
    health.note_connections()
    logs.request_lines.write()


def create_asgi() -> Front:
    """What Gunicorn serves: the application behind its front, which is idle without Redis."""
    settings = Settings.from_env()
    flask = create_app(settings)
    logs.request_lines.held = True
    threaded = ThreadedWsgi(flask, settings.web_threads, settings.web_queue, _answered)
    has_front = settings.redis_url and settings.front
    redis = LoopRedis(redis_connection) if has_front else None
    front = Front(threaded, redis, settings.trusted_proxies)
    front.deactivated_status = settings.deactivated_status
    if settings.origins:
        front.allow(partial(origins.headers_for, settings.origins))
    if not settings.redis_url:  # else the worker does it
        start_retention()
    return front

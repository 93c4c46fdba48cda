"""Joins the parts: the only module that knows them all."""

from __future__ import annotations

from flask import Flask

from app import commands, database, errors, limits, logs, routes
from app.asgi import ThreadedWsgi
from app.config import Settings
from app.migrations import schema
from app.proxies import Proxies
from app.redirects import views
from app.redirects.batching import LoopRedis
from app.redirects.connection import redis_connection
from app.redirects.drain import drain
from app.redirects.links import cache, handshake
from app.routes.given import Given
from app.services import seeding


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI application for `settings`, or for the environment's; raises ConfigError when they cannot be used."""
    settings = settings or Settings.from_env()
    logs.configure(
        settings.log_level,
        settings.instance,
        settings.log_file,
        settings.log_max_bytes,
        settings.secrets,
    )
    database.exit_if_unusable(settings.database_url)
    bind(settings)
    app = Flask(__name__, static_folder=None)
    app.ensure_sync = lambda function: function  # type: ignore[method-assign,assignment]  # no view is a coroutine, and Flask would look at each again and again
    app.config["MAX_CONTENT_LENGTH"] = limits.UPLOAD_BYTES
    if settings.trusted_proxies:
        app.wsgi_app = Proxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    for part in (logs, schema, database, errors, routes, commands):
        part.install(app)
    app.register_blueprint(views.bp)
    if schema.ensure() and settings.auto_seed:
        seeding.seed_once()
    return app


def bind(settings: Settings) -> None:
    """Gives the three handles, and the routes, what they are to use from now on."""
    database.db.initialize(database.connect(settings.database_url))
    database.refusal.why = ""  # it was another database's
    redis_connection.bind(settings.redis_url, handshake)
    cache.bind(settings.cache_ttl_seconds)
    schema.bind(drain.waiting)
    routes.given.bind(
        Given(
            base_url=settings.base_url.rstrip("/"),
            deactivated_status=settings.deactivated_status,
            chaos_token=settings.chaos_token,
            log_file=settings.log_file,
            metrics_directory=settings.prometheus_multiproc_dir,
        )
    )


def create_asgi() -> views.Front:
    """What Gunicorn serves: the application, and before it the front, which is idle without Redis."""
    settings = Settings.from_env()
    flask = create_app(settings)
    logs.notes.held = True
    threaded = ThreadedWsgi(flask, settings.web_threads, settings.web_queue, logs.notes.write)
    has_front = settings.redis_url and settings.fast_lane
    redis = LoopRedis(redis_connection) if has_front else None
    return views.Front(threaded, redis, settings.trusted_proxies)

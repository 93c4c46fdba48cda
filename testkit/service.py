"""The service of docker-compose.yml as processes on loopback, with the same settings."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg2

from testkit.servers import ROOT, Postgres, Redis, free_port, wait_for
from testkit.stack import PYTHON, Stack, need

REPLICAS = 3
TAIL = 20_000
_TAIL_LINKS = f"""
INSERT INTO urls (short_code, original_url, is_active, created_at, updated_at)
SELECT 'T' || lpad(n::text, 5, '0'), 'https://example.com/tail/' || lpad(n::text, 5, '0'), true,
    now(), now() FROM generate_series(0, {TAIL - 1}) AS n
"""
_SETTINGS = r"""
limit_req_zone $binary_remote_addr zone=clients:10m rate={rate}r/s;
limit_req zone=clients burst={rate} nodelay;
set_real_ip_from 127.0.0.1;
real_ip_header X-Forwarded-For;
map "" $client_scheme {{ default $scheme; }}
map "" $allowed_origin {{ default ""; }}
map "" $error_vary {{ default Accept; }}
map "" $hides_metrics {{ default 0; }}
map $remote_addr $kept_address {{ "~^(?<four>[0-9]+\.[0-9]+\.[0-9]+)\." $four.0; default ::; }}
upstream app {{
    zone app 128k; least_conn; {servers}
    keepalive 64; keepalive_requests 1000000; keepalive_timeout 5s;
}}
"""


class SafePostgres(Postgres):
    """Every commit is on disk before it is answered."""

    def command(self) -> list[str]:
        return [
            *super().command(),
            "-c",
            "fsync=on",
            "-c",
            "shared_buffers=128MB",
            "-c",
            "max_wal_size=1GB",
        ]


class BoundedRedis(Redis):
    def command(self) -> list[str]:
        return [*super().command(), "--maxmemory", "256mb"]


class Served:
    """Everything up, the sample data loaded, and TAIL more links that the cache does not have."""

    def __init__(self, cleanup: ExitStack, rate: int = 20_000, **settings: str) -> None:
        """`rate`: requests that Nginx lets one address make in a second."""
        self._settings = settings
        self.stack, self.postgres, self.redis = Stack(cleanup), SafePostgres(), BoundedRedis()
        for server in (self.postgres, self.redis):
            cleanup.callback(server.destroy)
            server.start()
        self._start_ours()
        with psycopg2.connect(**self.address) as connection, connection.cursor() as cursor:
            cursor.execute(_TAIL_LINKS)
        self.stack.watch("postgres", _pid(self.postgres))
        self.stack.watch("redis", _pid(self.redis))
        front_door(self.stack, rate)

    @property
    def address(self) -> dict[str, Any]:
        """The database, for psycopg2."""
        return {
            "host": "127.0.0.1",
            "port": self.postgres.port,
            "user": "holdfast",
            "dbname": "holdfast",
        }

    def links(self, number: int) -> list[tuple[str, str]]:
        """Codes that work and where they lead; the cache has them."""
        sql = "SELECT short_code, original_url FROM urls WHERE is_active ORDER BY id LIMIT %s"
        with psycopg2.connect(**self.address) as connection, connection.cursor() as cursor:
            cursor.execute(sql, (number,))
            return list(cursor.fetchall())

    def _start_ours(self) -> None:
        stack, log = self.stack, self.stack.folder / "holdfast.log"
        stores = {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.redis.url}
        shared = {**stores, "LOG_FILE": str(log), "LOG_LEVEL": "INFO", "BASE_URL": ""}
        shared |= self._settings
        migration = [PYTHON, "-m", "app", "migrate"]
        environment = {**os.environ, **shared, "AUTO_SEED": "true"}
        subprocess.run(migration, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        settings = [
            replica_settings(stack.folder, shared, number) for number in range(1, REPLICAS + 1)
        ]
        stack.replicas(["-c", "python:app.serving"], settings)
        stack.run("worker", [PYTHON, "-m", "app", "worker"], {**shared, "INSTANCE": "worker"})
        wait_for(lambda: "warmed the cache up" in log.read_text(), what="the cache's warm-up")


def _pid(server: Postgres | Redis) -> int:
    assert server.process is not None
    return server.process.pid


def replica_settings(folder: Path, shared: dict[str, str], number: int) -> dict[str, str]:
    """The environment of one replica, as in docker-compose.yml."""
    metrics = folder / f"metrics-{number}"
    metrics.mkdir()
    compose = {
        "CACHE_TTL_SECONDS": "3600",
        "TRUSTED_PROXIES": "1",
        "WEB_WORKERS": "1",
        "WEB_THREADS": "8",
    }
    return {
        **shared,
        **compose,
        "INSTANCE": f"app{number}",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }


def front_door(stack: Stack, rate: int = 20_000) -> None:
    """nginx/nginx.conf itself, with other paths and ports, and with what nginx/start.sh would have
    written.
    """
    stack.port = free_port()
    for name in ("nginx.conf", "error.conf"):
        text = (
            (ROOT / "nginx" / name)
            .read_text()
            .replace("/var/tmp/", "/tmp/")
            .replace("/tmp/", f"{stack.folder}/")
        )
        text = text.replace("listen 8080", f"listen 127.0.0.1:{stack.port}").replace(
            "listen 8081", f"listen 127.0.0.1:{free_port()}"
        )
        (stack.folder / name).write_text(text)
    servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in stack.replica_ports)
    (stack.folder / "settings.conf").write_text(_SETTINGS.format(servers=servers, rate=rate))
    for name in ("replicas.conf", "tls.conf"):
        (stack.folder / name).write_text("")
    (stack.folder / "pass.conf").write_text("proxy_pass http://app;")
    stack.run(
        "nginx",
        [need("nginx", "nginx"), "-c", str(stack.folder / "nginx.conf"), "-g", "daemon off;"],
    )
    wait_for(lambda: _listens(stack.port), what=f"Nginx (logs in {stack.folder})")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True

"""What may stand between Holdfast and PostgreSQL, and a standby that can take its place."""

from __future__ import annotations

import socket
import subprocess

from testkit.servers import HANGS_SECONDS, Postgres, Server, as_nobody, give_to_nobody
from testkit.stack import need

_INI = """
[databases]
* = host=127.0.0.1 port={server} user=holdfast
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
ignore_startup_parameters = options
server_login_retry = 1
"""

_CFG = """
global
    maxconn 1000
defaults
    mode tcp
    timeout connect 2s
    timeout check 2s
    timeout client 30m
    timeout server 30m
listen postgres
    bind 127.0.0.1:{port}
    option httpchk GET /primary
    http-check expect status 200
    default-server inter 1s fall 3 rise 1 on-marked-down shutdown-sessions"""


class PgBouncer(Server):
    """PgBouncer in transaction mode before `postgres`, whose databases have the same names."""

    def __init__(self, postgres: Postgres | HAProxy, size: int = 20) -> None:
        super().__init__()
        self.program, self.postgres = need("pgbouncer", "pgbouncer"), postgres
        self._file = self.folder / "pgbouncer.ini"
        self._file.write_text(_INI.format(server=postgres.port, port=self.port, size=size))
        give_to_nobody(self.folder)

    @property
    def url(self) -> str:
        return self.postgres.url.replace(f":{self.postgres.port}/", f":{self.port}/")

    def command(self) -> list[str]:
        return [self.program, str(self._file)]

    def answers(self) -> bool:
        return _accepts(self.port)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), HANGS_SECONDS).close()
    except OSError:
        return False
    return True


class HAProxy(Server):
    """HAProxy before PostgreSQL of which Patroni says that it leads: `nodes` are both ports."""

    def __init__(self, nodes: list[tuple[int, int]]) -> None:
        super().__init__()
        self.program, self._file = need("haproxy", "haproxy"), self.folder / "haproxy.cfg"
        servers = [
            f"    server n{number} 127.0.0.1:{port} check port {rest}"
            for number, (port, rest) in enumerate(nodes)
        ]
        self._file.write_text("\n".join([_CFG.format(port=self.port), *servers, ""]))
        give_to_nobody(self.folder)

    @property
    def url(self) -> str:
        return f"postgresql://holdfast@127.0.0.1:{self.port}/holdfast"

    def command(self) -> list[str]:
        return [self.program, "-db", "-f", str(self._file)]

    def answers(self) -> bool:
        return _accepts(self.port)


class Standby(Postgres):
    """A copy of `primary` that follows it until it is promoted."""

    def __init__(self, primary: Postgres) -> None:
        self.primary = primary
        super().__init__()

    def _make(self) -> None:
        program = f"{self.programs}/pg_basebackup"
        source = ["-h", "127.0.0.1", "-p", str(self.primary.port), "-U", "holdfast"]
        target = ["-D", str(self.folder / "data"), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        subprocess.run([program, *source, *target], check=True, cwd="/", **as_nobody())

    def promote(self) -> None:
        assert self._run("psql", "-c", "SELECT pg_promote()", "postgres") == 0

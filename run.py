"""The embedded server: checks that the port is free, then becomes Gunicorn, which greets."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from app.__main__ import become_gunicorn
from app.config import ConfigError, Settings, bare, read_env_file
from app.greeting import WANTED


def main(env_files: list[str]) -> None:
    """Settings that the environment does not have come from `env_files`; the first one wins."""
    try:
        for name in env_files:
            read_env_file(Path(name))
    except (ConfigError, OSError) as error:
        sys.exit(str(error))
    _refuse_taken_port(Settings.or_exit())
    become_gunicorn("--env", WANTED)


def _refuse_taken_port(settings: Settings) -> None:
    host, port = settings.app_host, settings.app_port
    try:
        address = socket.getaddrinfo(bare(host), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(*address[:3]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
    except OSError as error:
        sys.exit(
            f"Port {port} on {host} cannot be used ({error.strerror}); "
            "choose another one: APP_PORT=8001 make run"
        )


if __name__ == "__main__":
    main(sys.argv[1:])

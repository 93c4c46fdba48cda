"""A certificate that changes while the stack's Nginx serves."""

from __future__ import annotations

import os
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest

from testkit.servers import wait_for
from tests.front_door import FrontDoor, Replica, answer
from tests.test_front_door_tls import make_certificate
from tests.test_front_door_tls import tls as tls

pytestmark = pytest.mark.services


class WatchingDoor(FrontDoor):
    """With the part of nginx/start.sh that looks for changes once a second."""

    def command(self) -> list[str]:
        script = self.folder / "start.sh"
        text = script.read_text() + "\nwatch &\nexec " + " ".join(super().command()) + "\n"
        script.write_text(text.replace("-g daemon off;", "-g 'daemon off;'"))
        return ["sh", str(script)]

    def options(self) -> dict[str, object]:
        path = f"{os.environ['PATH']}:/usr/sbin"
        return {**super().options(), "env": {"PATH": path, **self.settings}}


def test_a_renewed_certificate_is_taken_without_a_restart(tls: Path) -> None:
    files = {"TLS_CERTIFICATE": f"{tls}/fullchain.pem", "TLS_KEY": f"{tls}/privkey.pem"}
    with ExitStack() as cleanup:
        replica = Replica(1, answer)
        cleanup.callback(replica.close)
        nginx = WatchingDoor(replica, **files)
        cleanup.callback(nginx.destroy)
        nginx.start()
        before = ssl.get_server_certificate(("127.0.0.1", nginx.tls_port))
        assert before.strip() == (tls / "fullchain.pem").read_text().strip()
        make_certificate(tls)
        renewed = (tls / "fullchain.pem").read_text().strip()
        wait_for(
            lambda: ssl.get_server_certificate(("127.0.0.1", nginx.tls_port)).strip() == renewed,
            what="the renewed certificate",
        )

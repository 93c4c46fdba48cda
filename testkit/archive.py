"""An S3 server of our own, and a PostgreSQL that archives its changes there by pgBackRest."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

from testkit.machine import HANGS_SECONDS, free_port, wait_for
from testkit.servers import ROOT, Server, as_nobody
from testkit.service import SafePostgres
from testkit.stack import need

BUCKET, KEY, SECRET = "holdfast", "drill", "drill-secret"


class ObjectStore(Server):
    """SeaweedFS: S3 with TLS on `port`, for `localhost`, by a certificate of its own."""

    def __init__(self) -> None:
        super().__init__()
        place = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self.program = shutil.which("weed", path=place) or need("weed", "(make drill-archive)")
        self.folder.chmod(0o755)
        (self.folder / "data").mkdir()
        self.filer = free_port()
        who = {"name": "drill", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
        identities = {"identities": [{**who, "actions": ["Admin", "Read", "Write", "List"]}]}
        (self.folder / "s3.json").write_text(json.dumps(identities))
        self._certify()

    def _certify(self) -> None:
        # pgBackRest compares the certificate with names only, not with addresses.
        request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        files = ["-keyout", "key.pem", "-out", "certificate.pem"]
        command = [need("openssl", "openssl"), *request.split(), *names, *files]
        subprocess.run(command, check=True, cwd=self.folder, stderr=subprocess.DEVNULL)

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder}

    def command(self) -> list[str]:
        ports = {"s3.port.https": self.port, "filer.port": self.filer}
        named = ("master", "volume", "s3")
        ports |= {f"{name}.port": free_port() for name in named}
        ports |= {f"{name}.port.grpc": free_port() for name in (*named, "filer")}
        ports |= {"s3.port.iceberg": 0, "s3.port.lance": 0}
        files = ["-s3.cert.file=certificate.pem", "-s3.key.file=key.pem", "-s3.config=s3.json"]
        size = ["-volume.max=30", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
        place = ["-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
        return [self.program, "server", *place, *files, *size, *_options(ports)]

    def answers(self) -> bool:
        """Whether a request without a key is refused over TLS."""
        trust = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        try:
            line = http.client.HTTPSConnection("localhost", self.port, timeout=5, context=trust)
            line.request("GET", "/")
            return line.getresponse().status == 403
        except OSError:
            return False

    def start(self) -> None:
        super().start()
        wait_for(self._make_bucket, what="the bucket")

    def _make_bucket(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.filer, timeout=HANGS_SECONDS)
        line.request("POST", f"/buckets/{BUCKET}/")
        return line.getresponse().status in (200, 201, 204, 409)


def _options(ports: dict[str, int]) -> list[str]:
    return [f"-{name}={port}" for name, port in ports.items()]


class ArchivedPostgres(SafePostgres):
    """Archives its changes in `store`, after `timeout` seconds at the latest."""

    def __init__(self, store: ObjectStore, timeout: int) -> None:
        super().__init__()
        need("pgbackrest", "pgbackrest")
        self.timeout = timeout
        self.data = self.folder / "data"
        example = (ROOT / "deploy" / "archive" / "pgbackrest.conf.example").read_text()
        shutil.copy(store.folder / "certificate.pem", self.folder)
        (self.folder / "pgbackrest.conf").write_text(_configured(example, self._settings(store)))

    def _settings(self, store: ObjectStore) -> dict[str, str | int]:
        """What differs from an operator's file, and how soon pgBackRest gives up."""
        server = {
            "repo1-s3-endpoint": "localhost",
            "repo1-s3-bucket": BUCKET,
            "repo1-s3-region": "us-east-1",
            "repo1-s3-key": KEY,
            "repo1-s3-key-secret": SECRET,
            "repo1-storage-port": store.port,
            "repo1-storage-ca-file": f"{self.folder}/certificate.pem",
            "io-timeout": 5,
        }
        places = {"lock-path": f"{self.folder}/lock", "spool-path": f"{self.folder}/spool"}
        own = {"pg1-path": self.data, "pg1-socket-path": self.folder, "pg1-user": "holdfast"}
        return {**server, **places, **{name: str(value) for name, value in own.items()}}

    def command(self) -> list[str]:
        archiving = {
            "unix_socket_directories": self.folder,
            "archive_mode": "on",
            "archive_timeout": self.timeout,
            "archive_command": "pgbackrest --stanza=holdfast archive-push %p",
        }
        set_to = [each for name, to in archiving.items() for each in ("-c", f"{name}={to}")]
        return [*super().command(), *set_to]

    def options(self) -> dict[str, Any]:
        return {**super().options(), "env": self.environ}

    @property
    def environ(self) -> dict[str, str]:
        config = {"PGBACKREST_CONFIG": f"{self.folder}/pgbackrest.conf"}
        return {"PATH": os.environ["PATH"], **config, "PGBACKREST_PG1_PORT": str(self.port)}

    def script(self, name: str, *arguments: str) -> str:
        """What a script of deploy/archive says; raises when it fails."""
        done = subprocess.run(
            ["sh", str(self.folder / name), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environ,
            **as_nobody(),
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"[-2000:]
        return done.stdout

    def take_scripts(self) -> None:
        """Copies them to where its user may read them."""
        for path in (ROOT / "deploy" / "archive").glob("*.sh"):
            shutil.copy(path, self.folder)

    def restore(self, moment: str) -> None:
        """Its files are as at that moment, or `latest`; it must be stopped."""
        self.script("restore-to.sh", moment)

    def lose_data(self) -> None:
        """Killed, and its data directory deleted."""
        self.kill()
        shutil.rmtree(self.data)


def _configured(example: str, settings: dict[str, str | int]) -> str:
    """The example's text with these values in place of its own."""
    for name, value in settings.items():
        line, replaced = re.subn(rf"(?m)^{name}=.*$", f"{name}={value}", example)
        example = line if replaced else example.replace("[global]", f"[global]\n{name}={value}")
    return example

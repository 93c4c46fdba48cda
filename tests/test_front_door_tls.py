"""TLS in the stack's Nginx, with a certificate of the test's own."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from testkit.servers import HANGS_SECONDS
from tests.front_door import FrontDoor, Replica, ReplicaApp, answer

pytestmark = pytest.mark.services

HSTS = "Strict-Transport-Security"


def make_certificate(folder: Path, name: str = "localhost") -> None:
    """Writes fullchain.pem and privkey.pem, which anybody may read."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = f"-subj /CN={name} -addext subjectAltName=DNS:{name}"
    files = f"-keyout {folder}/privkey.pem -out {folder}/fullchain.pem"
    subprocess.run(f"{command} {names} {files}".split(), check=True, capture_output=True)
    for file in folder.glob("*.pem"):
        file.chmod(0o644)


@pytest.fixture
def tls() -> Iterator[Path]:
    """A folder that Nginx can read, which pytest's own would not be."""
    with tempfile.TemporaryDirectory(prefix="holdfast-tls-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        make_certificate(folder)
        yield folder


def started(cleanup: ExitStack, tls: Path, **settings: str) -> tuple[FrontDoor, Replica]:
    replica = Replica(1, answer)
    cleanup.callback(replica.close)
    files = {"TLS_CERTIFICATE": f"{tls}/fullchain.pem", "TLS_KEY": f"{tls}/privkey.pem"}
    nginx = FrontDoor(replica, **files, **settings)
    cleanup.callback(nginx.destroy)
    nginx.start()
    return nginx, replica


@pytest.fixture
def door(tls: Path) -> Iterator[tuple[FrontDoor, Replica]]:
    with ExitStack() as cleanup:
        yield started(cleanup, tls)


def trusting(tls: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tls / "fullchain.pem"))


def handshake(nginx: FrontDoor, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", nginx.tls_port), HANGS_SECONDS)
    return context.wrap_socket(plain, server_hostname="localhost")


def ask(
    nginx: FrontDoor, tls: Path | None, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """With the folder of the certificate by HTTPS, without it by HTTP."""
    connection: http.client.HTTPConnection
    if tls:
        context = trusting(tls)
        connection = http.client.HTTPSConnection("localhost", nginx.tls_port, context=context)
    else:
        connection = http.client.HTTPConnection("localhost", nginx.port, timeout=HANGS_SECONDS)
    with closing(connection):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()


def test_https_is_answered_and_the_replica_learns_of_it(
    door: tuple[FrontDoor, Replica], tls: Path
) -> None:
    nginx, replica = door
    response, body = ask(nginx, tls, "/users")
    assert (response.status, body) == (200, b"ok")
    assert response.headers[HSTS] == "max-age=31536000"
    assert "X-Content-Type-Options" not in response.headers  # the replica did not say it
    assert b"\r\nX-Forwarded-Proto: https\r\n" in replica.seen[0]


@pytest.mark.parametrize(("path", "status"), [("/%00", 404), ("/nginx-health", 200)])
def test_what_nginx_answers_by_itself_is_kept_to_https_too(
    door: tuple[FrontDoor, Replica], tls: Path, path: str, status: int
) -> None:
    response, _ = ask(door[0], tls, path)
    assert (response.status, response.headers[HSTS]) == (status, "max-age=31536000")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("version", "offered"),
    [
        ("TLSv1.2", ["h2", "http/1.1"]),
        ("TLSv1.3", ["h2"]),
        ("TLSv1.3", ["http/1.1"]),
        ("TLSv1.2", []),
    ],
)
def test_new_versions_are_spoken_with_http_2_for_who_offers_it(
    door: tuple[FrontDoor, Replica], tls: Path, version: str, offered: list[str]
) -> None:
    context = trusting(tls)
    only = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[version]
    context.minimum_version = context.maximum_version = only
    if offered:
        context.set_alpn_protocols(offered)
    with handshake(door[0], context) as connection:
        assert connection.version() == version
        assert connection.selected_alpn_protocol() == (offered[0] if offered else None)
        cipher, _, bits = connection.cipher() or ("", "", 0)
        assert "GCM" in cipher or "CHACHA20" in cipher
        assert bits >= 128


def openssl_says(nginx: FrontDoor, *options: str) -> str:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{nginx.tls_port}", *options],
        check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_old_versions_and_ciphers_are_refused(door: tuple[FrontDoor, Replica]) -> None:
    weak = ("-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is ECDHE" in openssl_says(door[0], "-tls1_2", *weak)
    for version in ("-tls1", "-tls1_1"):
        assert "alert protocol version" in openssl_says(door[0], version, *weak)
    for ciphers in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "AES256-GCM-SHA384"):
        refused = openssl_says(door[0], "-tls1_2", "-cipher", f"{ciphers}:@SECLEVEL=0")
        assert "alert handshake failure" in refused, ciphers


def curl(nginx: FrontDoor, tls: Path, path: str, *options: str) -> list[str]:
    """What curl prints: the version of HTTP and the status, then the body's lines."""
    url = f"https://localhost:{nginx.tls_port}{path}"
    shown = [
        "-sS",
        "--http2",
        "--cacert",
        f"{tls}/fullchain.pem",
        "-w",
        "%{http_version} %{http_code}\n",
    ]
    command = ["curl", *shown, "-o", "-", *options, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


def test_http_2_has_answers_and_errors_in_our_form(
    door: tuple[FrontDoor, Replica], tls: Path
) -> None:
    nginx, replica = door
    assert curl(nginx, tls, "/users?x=1") == ["ok2 200"]
    assert replica.seen[0].startswith(b"GET /users?x=1 HTTP/1.1\r\nHost: localhost:")
    for options, status in (
        (["--data-binary", "x" * 70_000], 413),
        (["-X", "TRACE"], 405),
    ):
        body, end = curl(nginx, tls, "/users", *options)
        assert end == f"2 {status}"
        assert json.loads(body)["status"] == status
    problem, _ = curl(nginx, tls, "/users", "-X", "TRACE", "-H", "Accept: application/problem+json")
    assert json.loads(problem)["title"] == "Method Not Allowed"


def test_short_urls_are_https_where_they_were_asked_for_by_https(tls: Path, tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        url = f"sqlite:///{tmp_path}/holdfast.db"
        app = ReplicaApp(DATABASE_URL=url, TRUSTED_PROXIES="1")
        files = {"TLS_CERTIFICATE": f"{tls}/fullchain.pem", "TLS_KEY": f"{tls}/privkey.pem"}
        nginx = FrontDoor(APP_SERVERS=app.host, **files)
        for server in (app, nginx):
            cleanup.callback(server.destroy)
            server.start()
        sent = ["-H", "Content-Type: application/json", "-d", '{"url": "https://example.com/"}']
        body, end = curl(nginx, tls, "/shorten", *sent)
        assert end == "2 201"
        made = json.loads(body)
        assert made["short_url"] == f"https://localhost:{nginx.tls_port}/{made['short_code']}"
        response, _ = ask(nginx, tls, f"/{made['short_code']}")
        assert (response.status, response.headers["Location"]) == (302, "https://example.com/")
        assert response.headers[HSTS]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["/", "/abc?x=1", "/users/1", "/healthy", "/health/ready", "/nginx-docs", "/nginx-error-x"],
)
def test_http_leads_to_https_with_method_path_and_query(
    door: tuple[FrontDoor, Replica], method: str, path: str
) -> None:
    nginx, replica = door
    response, _ = ask(nginx, None, path, method)
    assert response.status == 308
    assert response.headers["Location"] == f"https://localhost{path}"
    assert HSTS not in response.headers
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert replica.seen == []


def test_another_port_is_named_where_http_leads(tls: Path) -> None:
    with ExitStack() as cleanup:
        nginx, _ = started(cleanup, tls, TLS_PORT="8443")
        response, _ = ask(nginx, None, "/abc", Host="sho.rt:8080")
        assert response.headers["Location"] == "https://sho.rt:8443/abc"


def test_health_and_challenges_of_authorities_stay_plain(
    door: tuple[FrontDoor, Replica], tls: Path
) -> None:
    nginx, replica = door
    folder = tls / "acme" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_text("token.thumbprint")
    response, body = ask(nginx, None, "/.well-known/acme-challenge/token")
    assert (response.status, body) == (200, b"token.thumbprint")
    assert response.headers["Content-Type"] == "text/plain"
    assert replica.seen == []
    response, body = ask(nginx, None, "/.well-known/acme-challenge/other")
    assert (response.status, json.loads(body)["status"]) == (404, 404)
    assert ask(nginx, None, "/.well-known/acme-challenge/../../privkey.pem")[0].status != 200
    assert ask(nginx, None, "/nginx-health")[0].status == 200
    assert ask(nginx, None, "/health")[1] == b"ok"


def test_http_where_tls_is_spoken_is_refused_in_json(door: tuple[FrontDoor, Replica]) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", door[0].tls_port)) as connection:
        connection.request("GET", "/users")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["status"]) == (400, 400)

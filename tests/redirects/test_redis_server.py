"""What the URL of Redis says: where it is, who we are there, and how TLS is checked."""

from __future__ import annotations

import ssl

from app.redirects.connection import Server


def test_a_url_names_host_port_database_and_password() -> None:
    server = Server("redis://:secret@redis.example:6380/2")
    assert (server.host, server.port, server.tls) == ("redis.example", 6380, None)
    assert server.greeting == [("AUTH", "default", "secret"), ("SELECT", 2)]


def test_a_user_and_a_socket_are_taken_from_the_url() -> None:
    assert Server("redis://app:secret@h/0").greeting[0] == ("AUTH", "app", "secret")
    assert Server("unix:///run/redis.sock?db=1").path == "/run/redis.sock"


def test_tls_checks_certificate_and_host_unless_the_url_says_otherwise() -> None:
    checked, trusting = Server("rediss://h").tls, Server("rediss://h?ssl_cert_reqs=none").tls
    assert checked is not None
    assert trusting is not None
    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_NONE, False)


def test_tls_leaves_the_host_unchecked_where_only_that_is_asked() -> None:
    tls = Server("rediss://h?ssl_check_hostname=false").tls
    assert tls is not None
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, False)

"""TLS of requests to checked addresses: the name in the URL is asked for and verified, whatever address it has."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ilert.common import http
from tests.servers import tls
from tests.servers.http import HttpServer

NAME = "tls.example"


@pytest.fixture
def asked_for() -> list[str]:
    """The server names that clients asked for."""
    return []


@pytest.fixture
def server(
    loopback: None, asked_for: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HttpServer]:
    """A server with a certificate for NAME; every name is at 127.0.0.1."""
    certificate = tmp_path / "certificate.pem"
    context = tls.server_context(NAME, certificate)
    context.sni_callback = lambda connection, name, context: asked_for.append(name)
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest, **options: real("127.0.0.1", *rest, **options))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    http._ssl_context.cache_clear()
    with HttpServer(context) as running:
        yield running
    http._ssl_context.cache_clear()


def post(name: str, server: HttpServer) -> Any:
    return http.post(f"https://{name}:{server.port}/", content=b"", headers={}, timeout=3)


def test_the_name_of_the_url_is_asked_for_and_verified(server: HttpServer, asked_for: list[str]) -> None:
    assert post(NAME, server).status == 200
    assert asked_for == [NAME]
    assert server.requests[0].headers["host"] == f"{NAME}:{server.port}"


def test_a_certificate_of_another_name_is_refused(server: HttpServer) -> None:
    with pytest.raises(http.OutboundError, match=r"certificate is not valid .*other\.example"):
        post("other.example", server)
    assert server.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    http._ssl_context.cache_clear()
    with pytest.raises(http.OutboundError, match="certificate is not valid"):
        post(NAME, server)

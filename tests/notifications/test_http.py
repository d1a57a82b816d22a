"""Requests to addresses that people typed in stay out of private networks, and always end."""

import datetime as dt
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from ilert.common import http
from tests.servers.http import (
    HttpServer,
    dripping_body,
    dripping_head,
    flooding,
    hanging,
    hanging_up,
    replying,
)

PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "2130706433",
    "0x7f.1",
    "127.1",
    "localhost",
]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"]


@pytest.fixture
def server(loopback: None) -> Iterator[HttpServer]:
    with HttpServer() as running:
        yield running


def post(url: str, timeout: float = 5.0) -> http.Response:
    return http.post(url, content=b"hello", headers={"X-Test": "1"}, timeout=timeout)


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_blocked_however_they_are_written(host: str, settings: Settings) -> None:
    settings.ILERT_ALLOW_PRIVATE_NETWORKS = []
    with HttpServer() as server, pytest.raises(http.BlockedAddress, match="ILERT_ALLOW_PRIVATE_NETWORKS"):
        post(f"http://{host}:{server.port}/")
    assert server.requests == []


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not(address: str, settings: Settings) -> None:
    settings.ILERT_ALLOW_PRIVATE_NETWORKS = []
    assert http.is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_listed_networkis_allowed_and_only_that(address: str, settings: Settings) -> None:
    settings.ILERT_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.1/32")]
    with HttpServer() as server:
        assert post(f"http://{f'[{address}]' if ':' in address else address}:{server.port}/").status == 200
        with pytest.raises(http.BlockedAddress, match=r"127\.0\.0\.2"):
            post(f"http://127.0.0.2:{server.port}/")


def test_a_name_is_resolved_once_so_that_it_cannot_change_after_the_check(
    server: HttpServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server of an attacker may answer differently the second time."""
    settings.ILERT_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.1/32")]
    answers = ["127.0.0.1", "127.0.0.2"]
    real = socket.getaddrinfo

    def resolver(host: str, *rest: Any, **options: Any) -> Any:
        return real(answers.pop(0) if host == "rebinding.example" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert post(f"http://rebinding.example:{server.port}/x").status == 200
    assert answers == ["127.0.0.2"]
    assert server.requests[0].headers["host"] == f"rebinding.example:{server.port}"


def test_of_a_name_with_several_addresses_only_the_allowed_ones_are_used(
    server: HttpServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ILERT_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.1/32")]
    real = socket.getaddrinfo

    def resolver(host: str, *rest: Any, **options: Any) -> Any:
        if host != "mixed.example":
            return real(host, *rest, **options)
        return real("127.0.0.2", *rest, **options) + real("127.0.0.1", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert post(f"http://mixed.example:{server.port}/").status == 200


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://example.com/", "must start with https"),
        ("file:///etc/passwd", "must start with https"),
        ("example.com/hook", "must start with https"),
        ("https:///path", "no valid host"),
        ("https://exa mple.com/", "no valid host"),
        ("https://user:pass@example.com/", "user name or password"),
        ("https://example.com:99999/", "port"),
        ("https://example.com/\r\nX-Evil: 1", "not a URL"),
    ],
)
def test_unusable_urls_are_refused_with_what_is_wrong(url: str, complaint: str) -> None:
    with pytest.raises(http.UnusableURL, match=complaint):
        post(url)


def test_redirects_are_answers_not_ways(server: HttpServer) -> None:
    server.behaviour = replying(302, location="http://127.0.0.2/elsewhere")
    assert post(f"{server.url}/").status == 302
    assert len(server.requests) == 1


def test_a_proxy_of_the_environment_is_not_used(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert post(f"{server.url}/").status == 200


def test_what_is_sent_and_what_comes_back(server: HttpServer) -> None:
    server.behaviour = replying(200, "grüß".encode(), x_answer="42")
    response = post(f"{server.url}/path?a=1")
    assert (response.status, response.text, response.headers["x-answer"]) == (200, "grüß", "42")
    assert server.requests[0].path == "/path?a=1"
    assert server.requests[0].body == b"hello"
    assert server.requests[0].headers["x-test"] == "1"


@pytest.mark.parametrize("behaviour", [hanging, dripping_head])
def test_a_server_that_gives_no_answer_cannot_hold_us(server: HttpServer, behaviour: Any) -> None:
    server.behaviour = behaviour
    begun = time.monotonic()
    with pytest.raises(http.OutboundError, match=r"did not answer within 0\.3 s"):
        post(f"{server.url}/", timeout=0.3)
    assert time.monotonic() - begun < 0.9


def test_once_the_status_is_there_a_dripping_body_does_no_harm(server: HttpServer) -> None:
    server.behaviour = dripping_body
    begun = time.monotonic()
    assert post(f"{server.url}/", timeout=0.3).status == 200
    assert time.monotonic() - begun < 0.9


def test_a_body_is_read_up_to_its_limit(server: HttpServer) -> None:
    server.behaviour = flooding
    assert len(post(f"{server.url}/").text) == http.MAX_BODY


def test_a_connection_that_breaks_names_the_host_and_not_the_path(server: HttpServer) -> None:
    server.behaviour = hanging_up
    with pytest.raises(http.OutboundError) as caught:
        post(f"{server.url}/secret-path")
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_closed_port_says_so(loopback: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(http.OutboundError, match="Connection refused"):
        post(f"http://127.0.0.1:{port}/")


def test_a_server_without_tls_says_so(server: HttpServer) -> None:
    with pytest.raises(http.OutboundError, match="TLS failed"):
        post(f"https://127.0.0.1:{server.port}/")


def test_a_name_that_does_not_exist_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolver(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with pytest.raises(http.OutboundError, match=r"nowhere\.example: Name or service not known"):
        post("https://nowhere.example/")


def test_a_name_server_that_hangs_cannot_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait() and [])
    with pytest.raises(http.OutboundError, match=r"did not answer within 0\.2 s"):
        post("https://slow.example/", timeout=0.2)
    release.set()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Sun, 22 Nov 2026 16:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 15:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("9" * 400, None),
        ("Sun, 22 Nov 2026 16:00:30", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    now = dt.datetime(2026, 11, 22, 16, 0, 0, tzinfo=dt.UTC)
    assert http.Response(429, {"retry-after": value}, "").retry_after(now) == seconds


def test_neither_headers_nor_bodies_show_in_a_representation() -> None:
    response = http.Response(200, {"set-cookie": "secret"}, "secret")
    assert "secret" not in repr(response)

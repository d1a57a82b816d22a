"""Who a request comes from: headers count only when a trusted proxy has written them."""

import ipaddress

import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse

from ilert.common.client import client_address
from ilert.middleware import TrustedProxiesMiddleware


@pytest.fixture
def proxies(settings) -> None:
    settings.ILERT_TRUSTED_PROXIES = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8")]


@pytest.mark.usefixtures("proxies")
@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1,", "10.0.0.1"),
        ("10.0.0.1", "\u0660, ' OR 1=1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_the_client(peer: str, forwarded_for: str, client: str) -> None:
    assert client_address(peer, forwarded_for) == client


@pytest.mark.usefixtures("proxies")
@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("10.0.0.1", "203.0.113.9, 10.1.2.3", "10.1.2.3"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
    ],
)
def test_the_short_form_believes_one_proxy(settings, peer: str, forwarded_for: str, client: str) -> None:
    """Clients live in private networks too: what stands left of one may be its own invention."""
    settings.ILERT_ONE_PROXY = True
    assert client_address(peer, forwarded_for) == client


def test_without_trusted_proxies_nothing_is_believed() -> None:
    assert django_settings.ILERT_TRUSTED_PROXIES == []
    assert client_address("127.0.0.1", "198.51.100.1") == "127.0.0.1"


@pytest.mark.usefixtures("proxies")
def test_a_long_list_costs_nothing() -> None:
    assert client_address("10.0.0.1", "1.1.1.1," * 100_000 + "198.51.100.1") == "198.51.100.1"


@pytest.mark.usefixtures("proxies")
@pytest.mark.parametrize(("peer", "secure"), [("10.0.0.1", True), ("203.0.113.9", False)])
def test_only_a_trusted_proxy_says_https(settings, peer: str, secure: bool) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    request = HttpRequest()
    request.META |= {
        "REMOTE_ADDR": peer, "HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_FOR": "198.51.100.1"
    }  # fmt: skip
    TrustedProxiesMiddleware(lambda _: HttpResponse())(request)
    assert request.is_secure() is secure
    assert request.META["REMOTE_ADDR"] == ("198.51.100.1" if secure else peer)

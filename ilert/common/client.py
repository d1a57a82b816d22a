"""Who a request comes from, when proxies stand in between."""

import ipaddress

from django.conf import settings

from ilert.common.net import IPAddress

_HOST_BITS = 64


def client_address(peer: str, forwarded_for: str = "") -> str:
    """Return the address of the client: the peer's, or what trusted proxies say in X-Forwarded-For.

    Every proxy appends whom it got the request from, so the header is read from the right for as long as trusted
    proxies have written it. What stands left of that is the client's own invention. With ILERT_ONE_PROXY that is all
    but the last word.
    """
    client = peer
    # A header of a megabyte costs no more than one of that many proxies.
    words = forwarded_for.rsplit(",", 20)
    for word in words[:-2:-1] if settings.ILERT_ONE_PROXY else reversed(words):
        if not is_trusted_proxy(client):
            break
        address = _address(word)
        if address is None:
            break
        client = str(address)
    return client


def throttled_as(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that one IPv6 host can take its addresses from."""
    if ":" not in address:
        return address
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Address(int(found) >> _HOST_BITS << _HOST_BITS))
    return str(found) if found else address


def is_trusted_proxy(peer: str) -> bool:
    """Whether `peer` is one of ILERT_TRUSTED_PROXIES."""
    if not settings.ILERT_TRUSTED_PROXIES:
        return False
    address = _address(peer)
    return address is not None and any(address in network for network in settings.ILERT_TRUSTED_PROXIES)


def _address(word: str) -> IPAddress | None:
    """Return an address as proxies write it: bare, with a port, in brackets. IPv4 inside IPv6 is returned as IPv4."""
    word = word.strip()
    if word.startswith("["):
        word = word[1:].partition("]")[0]
    elif word.count(":") == 1:
        word = word.partition(":")[0]
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address

"""Loopback is a private network: what talks to a server of the tests has to be allowed to."""

import ipaddress
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from notifications.channels import Link, Message
from tests.servers.ntfy import NtfyServer
from tests.servers.smtp import SmtpServer

MESSAGE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def message() -> Message:
    return Message(
        id=MESSAGE_ID,
        title="CPU of web-1 is above 95 %",
        text="since 03:12, from Sematext production",
        urgent=True,
        link=Link("Open", "https://ilert.example.com/incidents/7"),
        accept=Link("Accept", "https://ilert.example.com/a/token"),
        accept_now=Link("Accept", "https://ilert.example.com/a/token/now"),
        data={"incident": {"id": 7, "status": "PENDING"}},
    )


@pytest.fixture
def loopback(settings: Settings) -> None:
    settings.ILERT_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def ntfy(loopback: None) -> Iterator[NtfyServer]:
    with NtfyServer() as server:
        yield server


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        use_mail_server(settings, server)
        yield server


def use_mail_server(settings: Settings, server: SmtpServer) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = server.host, server.port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.PUBLIC_URL = "https://ilert.example.com"
    settings.DEFAULT_FROM_EMAIL = "ilert <ilert@example.com>"

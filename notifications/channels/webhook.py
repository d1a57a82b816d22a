"""Webhook: a program of yours gets each message as JSON.

Signed as https://www.standardwebhooks.com/ says, so that the receiver can check where it came from with any of the
libraries for it: HMAC-SHA256 over "id.timestamp.body".
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from typing import Any

import httpx
from django import forms
from django.core.exceptions import ValidationError

from ilert.common import http
from notifications.channels import over_http
from notifications.channels.base import Channel, Link, Message, PermanentError
from notifications.channels.forms import AddressForm
from notifications.channels.text import one_line

SECRET_PREFIX = "whsec_"  # noqa: S105  # nosec B105: a prefix, no secret
SECRET_BYTES = 32


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the webhook-signature header. Raises ValueError for a secret of another form."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class WebhookForm(AddressForm):
    url = forms.CharField(
        label="URL",
        max_length=2000,
        help_text="Gets a POST with JSON for every message. Any 2xx answer counts as received.",
        widget=forms.URLInput(
            attrs={"placeholder": "https://hooks.example.com/ilert", "autocomplete": "off", "spellcheck": "false"}
        ),
    )
    signing_secret = forms.CharField(
        initial=new_secret,
        label="Signing secret",
        max_length=200,
        help_text="Give this to the receiver: with it the receiver knows that a message comes from here.",
        widget=forms.TextInput(attrs={"readonly": True}),
    )

    def clean_url(self) -> str:
        try:
            return str(http.parse(str(self.cleaned_data["url"])))
        except http.UnusableURL as error:
            raise ValidationError(str(error)) from error

    def clean_signing_secret(self) -> str:
        secret = str(self.cleaned_data["signing_secret"])
        try:
            key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not secret.startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
            raise ValidationError("A signing secret is whsec_ followed by 24 to 64 bytes in base64.")
        return secret

    @property
    def address(self) -> str:
        return str(self.cleaned_data["url"])

    @property
    def secret(self) -> str:
        return str(self.cleaned_data["signing_secret"])


class Webhook(Channel):
    slug = "webhook"
    name = "Webhook"
    icon = "webhook"
    summary = "Signed JSON to a URL of yours, for a script, a chat bridge or home automation."
    form_class = WebhookForm

    def send(self, address: str, secret: str, message: Message) -> str:
        timestamp = int(time.time())
        body = json.dumps(_payload(message), ensure_ascii=False, default=str).encode(errors="replace")
        try:
            signature = sign(secret, message.id, timestamp, body)
        except ValueError:
            raise PermanentError("The signing secret is not valid, so nothing was sent.") from None
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        }
        response = over_http.post(address, content=body, headers=headers, timeout=self.timeout)
        answer = f"HTTP {response.status}"
        if 200 <= response.status < 300:
            return answer
        if 300 <= response.status < 400:
            raise over_http.error_of(response, f"{answer}: redirects are not followed")
        if response.status == 410:
            raise over_http.error_of(response, f"{answer}: the receiver wants no more messages")
        words = one_line(response.text)
        raise over_http.error_of(response, f"{answer}: {words}" if words else answer)

    def provider(self, address: str) -> str:
        return f"{self.slug}:{httpx.URL(address).netloc.decode('ascii')}"

    def describe(self, address: str) -> str:
        # The path is often all that a receiver asks for, so colleagues do not get to see it.
        url = httpx.URL(address)
        return f"{url.scheme}://{url.netloc.decode('ascii')}"[:200]

    def setup(self, form: AddressForm) -> dict[str, Any]:
        return {"example": json.dumps(_payload(_EXAMPLE), indent=2, ensure_ascii=False)}

    def facts(self, address: str, secret: str) -> list[tuple[str, str]]:
        return [("URL", address), ("signing secret", secret)]


_EXAMPLE = Message(
    id="0f8fad5b-d9cb-469f-a165-70867728950e",
    title="CPU of web-1 is above 95 %",
    text="Since 03:12, from Sematext production",
    urgent=True,
    link=Link("Open", "https://…"),
    accept=Link("Accept", "https://…"),
    accept_now=Link("Accept", "https://…"),
    data={"…": "what the message is about"},
)


def _payload(message: Message) -> dict[str, Any]:
    links = {"open": message.link, "accept": message.accept, "acceptNow": message.accept_now}
    return {
        "type": "notification",
        "id": message.id,
        "title": message.title,
        "text": message.text,
        "urgent": message.urgent,
        "links": {name: _url(link) for name, link in links.items()},
        "data": message.data,
    }


def _url(link: Link | None) -> str | None:
    return link.url if link else None

"""ntfy, the push app for phones: https://docs.ntfy.sh/publish/ (JSON to the root of a server).

A server may be anyone's. Whoever knows a topic can read it, so topics are unguessable and shown to their owner only.
"""

import json
import re
import secrets
from typing import Any

import httpx
from django import forms
from django.core.exceptions import ValidationError

from ilert.common import http
from notifications import qr
from notifications.channels import over_http
from notifications.channels.base import Channel, Message
from notifications.channels.forms import AddressForm
from notifications.channels.text import fit, one_line

DEFAULT_SERVER = "https://ntfy.sh"
TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
# Longer messages become attachments, and JSON of more than twice that is refused (HTTP 413).
MAX_MESSAGE = 4096
MAX_JSON = 2 * MAX_MESSAGE
URGENT, NORMAL = 5, 3


def new_topic() -> str:
    return f"ilert-{secrets.token_hex(12)}"


class NtfyForm(AddressForm):
    server = forms.CharField(
        label="Server",
        initial=DEFAULT_SERVER,
        max_length=200,
        help_text="Leave this as it is, unless you run an ntfy server of your own.",
        widget=forms.URLInput(attrs={"placeholder": DEFAULT_SERVER, "autocomplete": "off", "spellcheck": "false"}),
    )
    topic = forms.CharField(
        label="Topic",
        initial=new_topic,
        max_length=64,
        help_text="Made for you. Whoever knows it can read your alerts, so keep it to yourself.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    token = forms.CharField(
        label="Access token",
        required=False,
        max_length=200,
        help_text="Only for a topic that the server protects: a token that may write to it.",
        widget=forms.PasswordInput(
            render_value=True, attrs={"placeholder": "tk_…", "autocomplete": "off", "spellcheck": "false"}
        ),
    )

    def clean_server(self) -> str:
        server = str(self.cleaned_data["server"]).rstrip("/")
        try:
            url = http.parse(server)
        except http.UnusableURL as error:
            raise ValidationError(str(error)) from error
        if url.raw_path != b"/":
            raise ValidationError("Only the server, such as https://ntfy.sh; the topic has its own field.")
        return f"{url.scheme}://{url.netloc.decode('ascii')}"

    def clean_topic(self) -> str:
        topic = str(self.cleaned_data["topic"])
        if not TOPIC.fullmatch(topic):
            raise ValidationError("Letters, digits, - and _ only, at most 64 of them.")
        return topic

    def clean_token(self) -> str:
        token = str(self.cleaned_data["token"])
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ValidationError("A token has letters and digits only.")
        return token

    @property
    def address(self) -> str:
        return f"{self.cleaned_data['server']}/{self.cleaned_data['topic']}"

    @property
    def secret(self) -> str:
        return str(self.cleaned_data["token"])


class Ntfy(Channel):
    slug = "ntfy"
    name = "ntfy"
    icon = "bell-ring"
    summary = "Push to your phone in seconds, through the free ntfy app for Android and iPhone."
    form_class = NtfyForm
    wakes = True

    def send(self, address: str, secret: str, message: Message) -> str:
        server, _, topic = address.rpartition("/")
        # A message with the sequence id of an earlier one replaces it, so a repeat does not ring as a second alert.
        headers = {"Content-Type": "application/json", "X-Sequence-ID": message.id}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        response = over_http.post(f"{server}/", content=_body(topic, message), headers=headers, timeout=self.timeout)
        answer = _answer(response)
        if 200 <= response.status < 300:
            return f"ntfy took it as {one_line(str(answer['id']), 40)}" if "id" in answer else "ntfy took it"
        words = one_line(str(answer.get("error", "")))
        raise over_http.error_of(response, f"ntfy: HTTP {response.status}" + (f", {words}" if words else ""))

    def provider(self, address: str) -> str:
        return f"{self.slug}:{_host(address)}"

    def describe(self, address: str) -> str:
        server, _, topic = address.rpartition("/")
        return f"{_host(server)} …{topic[-4:]}"

    def facts(self, address: str, secret: str) -> list[tuple[str, str]]:
        server, _, topic = address.rpartition("/")
        return [("topic", topic), ("server", server)]

    def setup(self, form: AddressForm) -> dict[str, Any]:
        form.full_clean()
        known = form.cleaned_data if form.is_bound else {name: form[name].value() for name in ("server", "topic")}
        server, topic = known.get("server"), known.get("topic")
        if not (server and topic):
            return {}
        link = _subscribe_link(server, topic)
        code = qr.svg(link, "QR code that opens the topic in the ntfy app")
        return {"link": link, "qr": code, "server": server, "topic": topic, "is_default": server == DEFAULT_SERVER}


def _body(topic: str, message: Message) -> bytes:
    """Return the message as JSON that ntfy takes, its text cut as far as needed."""
    publication: dict[str, Any] = {
        "topic": topic,
        "title": one_line(message.title, 250),
        "priority": URGENT if message.urgent else NORMAL,
        "tags": ["rotating_light"] if message.urgent else ["bell"],
        "actions": _actions(message),
    }
    if message.link:
        publication["click"] = message.link.url
    # Without a text ntfy would write “triggered”.
    text = fit(message.text or message.title, MAX_MESSAGE)
    while len(body := _encode(publication | {"message": text})) > MAX_JSON and text:
        text = fit(text, len(text.encode()) - max(16, (len(body) - MAX_JSON) // 6))
    return body


def _encode(publication: dict[str, Any]) -> bytes:
    return json.dumps(publication, ensure_ascii=False).encode(errors="replace")


def _actions(message: Message) -> list[dict[str, Any]]:
    actions: list[dict[str, Any]] = []
    if message.accept_now:
        actions.append(
            {"action": "http", "label": message.accept_now.label, "url": message.accept_now.url}
            | {"method": "POST", "clear": True}
        )
    if message.link:
        actions.append({"action": "view", "label": message.link.label, "url": message.link.url})
    return actions


def _answer(response: http.Response) -> dict[str, Any]:
    try:
        answer = json.loads(response.text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _subscribe_link(server: str, topic: str) -> str:
    """The link that the Android app opens: https://docs.ntfy.sh/subscribe/phone/#ntfy-links (not on iPhones)."""
    scheme, _, host = server.rpartition("://")
    return f"ntfy://{host}/{topic}" + ("?secure=false" if scheme == "http" else "")


def _host(server: str) -> str:
    return httpx.URL(server).netloc.decode("ascii")[:200]

"""Webhook: signed JSON, and what ilert makes of the receiver's answers."""

import dataclasses
import time
from collections.abc import Iterator

import pytest

from notifications.channels import Message, PermanentError, TemporaryError
from notifications.channels.webhook import Webhook, WebhookForm, new_secret, sign
from tests.notifications.conftest import MESSAGE_ID
from tests.servers.http import dripping_body, hanging, hanging_up, replying
from tests.servers.webhook import WebhookReceiver

SECRET = new_secret()


@pytest.fixture
def receiver(loopback: None) -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SECRET) as server:
        yield server


def send(receiver: WebhookReceiver, message: Message, timeout: float = 2.0) -> str:
    channel = Webhook()
    channel.timeout = timeout
    return channel.send(f"{receiver.url}/hook?key=42", SECRET, message)


def test_a_receiver_can_check_where_a_message_came_from(receiver: WebhookReceiver, message: Message) -> None:
    assert send(receiver, message) == "HTTP 204"
    assert receiver.received == [
        {
            "type": "notification",
            "id": MESSAGE_ID,
            "title": message.title,
            "text": message.text,
            "urgent": True,
            "links": {
                "open": "https://ilert.example.com/incidents/7",
                "accept": "https://ilert.example.com/a/token",
                "acceptNow": "https://ilert.example.com/a/token/now",
            },
            "data": {"incident": {"id": 7, "status": "PENDING"}},
        }
    ]
    assert receiver.requests[0].path == "/hook?key=42"


def test_the_signature_is_the_one_of_the_specification() -> None:
    """The example of https://github.com/standard-webhooks/standard-webhooks and its libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_repeat_carries_the_same_id(receiver: WebhookReceiver, message: Message) -> None:
    send(receiver, message)
    send(receiver, message)
    assert [request.headers["webhook-id"] for request in receiver.requests] == [MESSAGE_ID, MESSAGE_ID]


def test_text_in_any_language_is_signed_as_it_is_sent(receiver: WebhookReceiver, message: Message) -> None:
    send(receiver, dataclasses.replace(message, title="Größe 🔥", text="日本\r\n\x00 \ud800", link=None))
    assert receiver.received[0]["title"] == "Größe 🔥"
    assert receiver.received[0]["links"]["open"] is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 504])
def test_these_answers_are_temporary(receiver: WebhookReceiver, message: Message, status: int) -> None:
    receiver.behaviour = replying(status, b"busy\n", retry_after="12")
    with pytest.raises(TemporaryError, match=f"HTTP {status}: busy") as caught:
        send(receiver, message)
    assert caught.value.retry_after == 12


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "redirects are not followed"),
        (307, "redirects are not followed"),
        (400, "no"),
        (401, "no"),
        (404, "no"),
        (410, "wants no more"),
    ],
)
def test_these_answers_are_permanent(receiver: WebhookReceiver, message: Message, status: int, words: str) -> None:
    receiver.behaviour = replying(status, b"no", location="http://127.0.0.1:1/")
    with pytest.raises(PermanentError, match=f"HTTP {status}: .*{words}"):
        send(receiver, message)


@pytest.mark.parametrize("behaviour", [hanging, hanging_up])
def test_no_answer_is_temporary(receiver: WebhookReceiver, message: Message, behaviour: object) -> None:
    receiver.behaviour = behaviour  # type: ignore[assignment]
    with pytest.raises(TemporaryError) as caught:
        send(receiver, message, timeout=0.3)
    assert "key=42" not in caught.value.answer


def test_a_receiver_that_said_yes_and_then_drips_has_said_yes(receiver: WebhookReceiver, message: Message) -> None:
    receiver.behaviour = dripping_body
    begun = time.monotonic()
    assert send(receiver, message, timeout=0.3) == "HTTP 200"
    assert time.monotonic() - begun < 0.9


def test_a_long_refusal_is_cut(receiver: WebhookReceiver, message: Message) -> None:
    receiver.behaviour = replying(400, b"<p>\n" * 10_000)
    with pytest.raises(PermanentError) as caught:
        send(receiver, message)
    assert len(caught.value.answer) < 250
    assert "\n" not in caught.value.answer


def test_private_receivers_need_the_operator(message: Message) -> None:
    with pytest.raises(PermanentError, match="ILERT_ALLOW_PRIVATE_NETWORKS"):
        Webhook().send("http://localhost:1/", SECRET, message)


def test_colleagues_see_the_host_only() -> None:
    assert Webhook().describe("https://hooks.example.com:8443/T0/B1/secret?x=y") == "https://hooks.example.com:8443"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"url": "hooks.example.com"}, "url"),
        ({"url": "https://a:b@example.com/"}, "url"),
        ({"url": ""}, "url"),
        ({"signing_secret": "whsec_c2hvcnQ="}, "signing_secret"),
        ({"signing_secret": "whsec_***"}, "signing_secret"),
        ({"signing_secret": "x" * 48}, "signing_secret"),
    ],
)
def test_the_form_names_the_field_that_is_wrong(data: dict[str, str], field: str) -> None:
    form = WebhookForm({"url": "https://hooks.example.com/", "signing_secret": new_secret()} | data)
    assert list(form.errors) == [field]


def test_the_form_makes_a_secret_each_time() -> None:
    secrets = {str(WebhookForm()["signing_secret"].value()) for _ in range(5)}
    assert len(secrets) == 5
    form = WebhookForm({"url": "https://hooks.example.com/x", "signing_secret": secrets.pop()})
    assert form.is_valid()
    assert form.address == "https://hooks.example.com/x"
    assert form.secret.startswith("whsec_")


def test_nothing_is_sent_unsigned(receiver: WebhookReceiver, message: Message) -> None:
    with pytest.raises(PermanentError, match="signing secret"):
        Webhook().send(receiver.url, "whsec_no base64!", message)
    assert receiver.requests == []

"""ntfy: what a phone shows, and what ilert makes of the server's answers."""

import dataclasses
import json
import time

import pytest

from notifications import channels
from notifications.channels import Message, PermanentError, TemporaryError
from notifications.channels.ntfy import MAX_JSON, Ntfy, NtfyForm
from tests.notifications.conftest import MESSAGE_ID
from tests.servers.http import dripping_head, hanging, replying
from tests.servers.ntfy import NtfyServer


def channel() -> Ntfy:
    ntfy = Ntfy()
    ntfy.timeout = 2.0
    return ntfy


def send(server: NtfyServer, message: Message, token: str = "") -> str:
    return channel().send(f"{server.url}/ilert-topic", token, message)


def test_the_phone_shows_what_is_wrong_and_two_buttons(ntfy: NtfyServer, message: Message) -> None:
    answer = send(ntfy, message)
    (shown,) = ntfy.messages("ilert-topic")
    assert answer == f"ntfy took it as {shown['id']}"
    assert shown["title"] == message.title
    assert shown["message"] == message.text
    assert shown["priority"] == 5
    assert shown["click"] == "https://ilert.example.com/incidents/7"
    assert shown["actions"] == [
        {
            "action": "http",
            "label": "Accept",
            "url": "https://ilert.example.com/a/token/now",
            "method": "POST",
            "clear": True,
        },
        {"action": "view", "label": "Open", "url": "https://ilert.example.com/incidents/7"},
    ]


def test_what_is_not_urgent_does_not_break_through(ntfy: NtfyServer, message: Message) -> None:
    send(ntfy, dataclasses.replace(message, urgent=False, accept_now=None, link=None))
    (shown,) = ntfy.messages("ilert-topic")
    assert (shown["priority"], shown["actions"]) == (3, [])
    assert "click" not in shown


def test_a_repeat_replaces_the_message_on_the_phone(ntfy: NtfyServer, message: Message) -> None:
    send(ntfy, message)
    send(ntfy, message)
    assert len(ntfy.published) == 2
    (shown,) = ntfy.messages("ilert-topic")
    assert shown["sequence_id"] == MESSAGE_ID


def test_the_token_opens_a_protected_topic(ntfy: NtfyServer, message: Message) -> None:
    ntfy.token = "tk_right"
    assert send(ntfy, message, "tk_right").startswith("ntfy took it")
    with pytest.raises(PermanentError, match="ntfy: HTTP 403, forbidden"):
        send(ntfy, message, "tk_wrong")
    with pytest.raises(PermanentError, match="ntfy: HTTP 401, unauthorized"):
        send(ntfy, message)


@pytest.mark.parametrize("text", ["x" * 20_000, "ä" * 20_000, '"\n\\' * 9_000, "🔥" * 5_000, ""])
@pytest.mark.parametrize("title", ["Disk full", "Ü" * 3_000, "a\r\nX-Tags: skull\x00", "\ud800 half"])
def test_whatever_the_text_ntfy_takes_it(ntfy: NtfyServer, message: Message, text: str, title: str) -> None:
    send(ntfy, dataclasses.replace(message, title=title, text=text))
    (shown,) = ntfy.messages("ilert-topic")
    assert shown["message"] not in ("", "triggered")
    assert "\n" not in shown["title"]
    assert len(ntfy.requests[0].body) <= MAX_JSON


def test_a_long_text_is_cut_no_more_than_needed(ntfy: NtfyServer, message: Message) -> None:
    send(ntfy, dataclasses.replace(message, text="ä" * 20_000))
    (shown,) = ntfy.messages("ilert-topic")
    assert 4090 <= len(shown["message"].encode()) <= 4096
    assert shown["message"].endswith("ä…")


def test_too_many_requests_is_tried_again_when_ntfy_says(ntfy: NtfyServer, message: Message) -> None:
    body = json.dumps({"code": 42901, "http": 429, "error": "limit reached: too many requests"}).encode()
    ntfy.behaviour = replying(429, body, retry_after="30")
    with pytest.raises(TemporaryError, match="ntfy: HTTP 429, limit reached") as caught:
        send(ntfy, message)
    assert caught.value.retry_after == 30


@pytest.mark.parametrize("status", [500, 502, 503, 507])
def test_trouble_of_the_server_is_temporary(ntfy: NtfyServer, message: Message, status: int) -> None:
    ntfy.behaviour = replying(status, b"<html>Bad gateway</html>")
    with pytest.raises(TemporaryError, match=f"ntfy: HTTP {status}$"):
        send(ntfy, message)


@pytest.mark.parametrize("status", [301, 400, 404, 413])
def test_what_the_server_refuses_is_permanent(ntfy: NtfyServer, message: Message, status: int) -> None:
    ntfy.behaviour = replying(status)
    with pytest.raises(PermanentError, match=f"ntfy: HTTP {status}"):
        send(ntfy, message)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{}", b"not json", b'{"id": {"a": "b"}}'])
def test_a_strange_yes_is_still_a_yes(ntfy: NtfyServer, message: Message, body: bytes) -> None:
    ntfy.behaviour = replying(200, body)
    assert send(ntfy, message).startswith("ntfy took it")


@pytest.mark.parametrize("behaviour", [hanging, dripping_head])
def test_a_server_that_hangs_is_left_in_time(ntfy: NtfyServer, message: Message, behaviour: object) -> None:
    ntfy.behaviour = behaviour  # type: ignore[assignment]
    channel = Ntfy()
    channel.timeout = 0.3
    begun = time.monotonic()
    with pytest.raises(TemporaryError, match="did not answer"):
        channel.send(f"{ntfy.url}/ilert-topic", "", message)
    assert time.monotonic() - begun < 0.9


def test_a_private_server_needs_the_operator(message: Message) -> None:
    with pytest.raises(PermanentError, match="ILERT_ALLOW_PRIVATE_NETWORKS"):
        channel().send("http://127.0.0.1:1/topic", "", message)


def test_colleagues_see_the_end_of_the_topic_only() -> None:
    assert channels.get("ntfy").describe("https://ntfy.sh/ilert-0123456789abcdef") == "ntfy.sh …cdef"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"server": "ntfy.sh"}, "server"),
        ({"server": "https://ntfy.sh/mytopic"}, "server"),
        ({"server": "https://me:secret@ntfy.sh"}, "server"),
        ({"topic": "two words"}, "topic"),
        ({"topic": "a" * 65}, "topic"),
        ({"topic": "../x"}, "topic"),
        ({"topic": ""}, "topic"),
        ({"token": "tk_ü"}, "token"),
        ({"token": "a b"}, "token"),
    ],
)
def test_the_form_names_the_field_that_is_wrong(data: dict[str, str], field: str) -> None:
    form = NtfyForm({"server": "https://ntfy.sh", "topic": "ilert-abc"} | data)
    assert list(form.errors) == [field]


def test_the_form_makes_an_unguessable_topic_each_time() -> None:
    topics = {str(NtfyForm()["topic"].value()) for _ in range(5)}
    assert len(topics) == 5
    assert all(topic.startswith("ilert-") and len(topic) >= 26 for topic in topics)


@pytest.mark.parametrize("server", ["https://ntfy.sh", "https://ntfy.sh/", " https://NTFY.sh "])
def test_an_address_is_written_in_one_way(server: str) -> None:
    form = NtfyForm({"server": server, "topic": "ilert-abc", "token": "tk_x"})
    assert form.is_valid()
    assert (form.address, form.secret) == ("https://ntfy.sh/ilert-abc", "tk_x")


@pytest.mark.parametrize(
    ("server", "link"),
    [
        ("https://ntfy.sh", "ntfy://ntfy.sh/ilert-abc"),
        ("http://ntfy.example.com:8080", "ntfy://ntfy.example.com:8080/ilert-abc?secure=false"),
    ],
)
def test_the_code_to_scan_holds_the_link_that_the_app_opens(server: str, link: str) -> None:
    form = NtfyForm({"server": server, "topic": "ilert-abc"})
    assert form.is_valid()
    assert Ntfy().setup(form)["link"] == link

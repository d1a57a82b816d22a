"""The set-up page of each tool: our values in the tool's own instructions, ready to be pasted."""

import json
import re
import subprocess
from html import unescape

import pytest
from django.template.loader import render_to_string

import integrations
from alertsources.setup import address_of
from integrations import EventType, Integration, Payload

KEY = "il1xyz" + "2" * 28
each = pytest.mark.parametrize("integration", integrations.ALL, ids=lambda one: one.slug)


def page(slug: str, public: str = "https://ilert.example.com") -> str:
    return render_to_string(f"integrations/{slug}.html", {"url": f"{public}/api/v1/events/{slug}/{KEY}"})


def codes(html: str) -> dict[str, str]:
    """Return what can be copied, by the id of its block."""
    blocks = re.findall(r'<pre class="code-text" id="([^"]+)"[^>]*>(.*?)</pre>', html, re.DOTALL)
    return {name: unescape(text) for name, text in blocks}


def sent_by(script: str) -> bytes:
    """Return the body that a curl line sends, as the shell understands it."""
    command = script.replace("curl ", "printf '%s\\n' ", 1)
    words = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    return words.split("\n-d\n", 1)[1].encode()


@each
def test_a_page_has_nothing_inline_and_nothing_unfilled(integration: Integration) -> None:
    html = page(integration.slug)
    assert not re.search(r"\sstyle=|<script|<style|\son[a-z]+=|\{%|%\}", html)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'data-copy="#([^"]+)"', html)) <= set(ids)
    for text in codes(html).values():
        assert text.strip("\n") == text


@each
@pytest.mark.parametrize(
    "public", ["https://ilert.example.com", "http://10.0.0.7:8000", "https://example.com:8443/on-call"]
)
def test_every_curl_line_is_understood_by_the_adapter(integration: Integration, public: str) -> None:
    blocks = codes(page(integration.slug, public)).values()
    scripts = [text for text in blocks if text.startswith("curl ") and " -d '" in text]
    assert scripts
    for script in scripts:
        assert f"{public}/api/v1/events" in script
        assert KEY in script
        (event,) = integration.parse(Payload(sent_by(script), "application/json"))
        assert event.summary


@pytest.mark.parametrize(
    ("slug", "alert", "recovery"),
    [
        ("sematext", "curl-alert", "curl-recovery"),
        ("prometheus", "curl-firing", "curl-resolved"),
        ("api", "api-alert", "api-resolve"),
    ],
)
def test_the_recovery_belongs_to_the_alert(slug: str, alert: str, recovery: str) -> None:
    (opens,), (resolves,) = (
        integrations.get(slug).parse(Payload(sent_by(codes(page(slug))[name]))) for name in (alert, recovery)
    )
    assert (opens.type, resolves.type) == (EventType.ALERT, EventType.RESOLVE)
    assert opens.key == resolves.key


@pytest.mark.parametrize(
    ("public", "scheme", "host", "port", "path"),
    [
        ("https://ilert.example.com", "https", "ilert.example.com", 443, ""),
        ("http://10.0.0.7:8000", "http", "10.0.0.7", 8000, ""),
        ("http://ilert.example.com", "http", "ilert.example.com", 80, ""),
        ("https://example.com:8443/on-call", "https", "example.com", 8443, "/on-call"),
    ],
)
def test_the_watch_s_action_has_the_address_in_its_parts(
    public: str, scheme: str, host: str, port: int, path: str
) -> None:
    blocks = codes(page("eswatcher", public))
    webhook = json.loads("{" + blocks["watch-actions"] + "}")["actions"]["ilert"]["webhook"]
    assert webhook == {
        "scheme": scheme,
        "method": "POST",
        "host": host,
        "port": port,
        "path": f"{path}/api/v1/events/eswatcher/{KEY}",
        "headers": {"Content-Type": "application/json"},
        "params": {},
        "body": "{{#toJson}}ctx{{/toJson}}",
    }
    watch = json.loads(blocks["watch-try"].split("PUT _watcher/watch/ilert-try-out\n")[1].split("\nPOST")[0])
    assert watch["actions"]["ilert"]["webhook"] == webhook
    assert json.loads("{" + blocks["watch-metadata"] + "}")


def test_the_parameters_of_sematext_s_hook_are_an_alert() -> None:
    fields = json.loads(codes(page("sematext"))["hook-json"]) | {"backToNormal": "false"}
    assert len(fields) == 7
    assert integrations.get("sematext").parse(Payload(json.dumps(fields).encode()))


def test_the_events_api_is_the_webhook_url_without_tool_and_key() -> None:
    at = address_of(f"https://example.com/on-call/api/v1/events/api/{KEY}")
    assert (at.events, at.key) == ("https://example.com/on-call/api/v1/events", KEY)
    assert address_of(f"http://[::1]:8000/api/v1/events/api/{KEY}").host == "::1"

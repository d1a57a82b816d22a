"""A server that answers like ntfy: JSON to its root, https://docs.ntfy.sh/publish/#publish-as-json.

with NtfyServer() as ntfy:
    …                                # give ilert f"{ntfy.url}/a-topic", allow 127.0.0.0/8
    ntfy.messages("a-topic")         # what a phone would show, repeats folded by their sequence id
    ntfy.behaviour = http.hanging    # or replying(503), dripping_head, … from tests.servers.http
"""

import json
import re
import secrets
import time
from typing import Any

from tests.servers.http import HttpServer, Reply, Request

MESSAGE_LIMIT = 4096
TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
SEQUENCE_ID = re.compile(r"[-_A-Za-z0-9]{1,64}")
NO_MORE_THAN_ACTIONS = 3


class NtfyServer(HttpServer):
    """`token`, when set, is needed to publish. `published` holds every message taken, repeats included."""

    def __init__(self) -> None:
        super().__init__()
        self.token = ""
        self.published: list[dict[str, Any]] = []

    def messages(self, topic: str) -> list[dict[str, Any]]:
        """Return what a phone shows for `topic`, the oldest first: a repeated sequence id replaces the message."""
        shown = {message["sequence_id"]: message for message in self.published if message["topic"] == topic}
        return list(shown.values())

    def answer(self, request: Request) -> Reply:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return _error(40301, "forbidden") if "authorization" in request.headers else _error(40101, "unauthorized")
        if request.path != "/":
            return _error(40401, "page not found")
        if len(request.body) > 2 * MESSAGE_LIMIT:
            return _error(41303, "JSON body too large")
        try:
            publication = json.loads(request.body)
        except ValueError:
            return _error(40024, "invalid request: request body must be valid JSON")
        return self._publish(publication, request.headers.get("x-sequence-id", ""))

    def _publish(self, publication: dict[str, Any], sequence_id: str) -> Reply:
        if not TOPIC.fullmatch(str(publication.get("topic", ""))):
            return _error(40009, "invalid request: topic invalid")
        if sequence_id and not SEQUENCE_ID.fullmatch(sequence_id):
            return _error(40049, "invalid request: sequence ID invalid")
        if len(publication.get("actions", [])) > NO_MORE_THAN_ACTIONS:
            return _error(40018, "invalid request: actions invalid, only 3 actions allowed")
        if len(publication.get("message", "").encode()) > MESSAGE_LIMIT:
            return _error(41301, "attachment too large, or bandwidth limit reached")
        message_id = secrets.token_urlsafe(9)
        message = {
            "id": message_id,
            "sequence_id": sequence_id or message_id,
            "time": int(time.time()),
            "event": "message",
            **publication,
            "message": publication.get("message") or "triggered",
        }
        self.published.append(message)
        return Reply(200, json.dumps(message).encode(), {"Content-Type": "application/json"})


def _error(code: int, words: str) -> Reply:
    body = {"code": code, "http": code // 100, "error": words}
    return Reply(code // 100, json.dumps(body).encode(), {"Content-Type": "application/json"})

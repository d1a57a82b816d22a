"""A receiver of webhooks that believes only what is signed: https://www.standardwebhooks.com/.

Written from the specification, not from the sender, so that both must be right.
"""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from tests.servers.http import HttpServer, Reply, Request

TOLERANCE = 300


class WebhookReceiver(HttpServer):
    """`received` holds the messages whose signature was good; others are answered 401."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret = secret
        self.received: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Reply:
        if not self._is_signed(request):
            return Reply(401, b"the signature is not valid")
        self.received.append(json.loads(request.body))
        return Reply(204)

    def _is_signed(self, request: Request) -> bool:
        message_id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        if "." in message_id or abs(time.time() - int(timestamp)) > TOLERANCE:
            return False
        kind, _, encoded = self.secret.partition("_")
        content = f"{message_id}.{timestamp}.{request.body.decode()}"
        expected = hmac.new(base64.b64decode(encoded), content.encode(), hashlib.sha256).digest()
        for signature in request.headers["webhook-signature"].split(" "):
            version, _, value = signature.partition(",")
            if version == "v1" and kind == "whsec" and hmac.compare_digest(base64.b64decode(value), expected):
                return True
        return False

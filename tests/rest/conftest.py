"""Clients that sign in by key, as scripts do."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from accounts.api_keys.services import create_api_key
from accounts.models import User


class Api(Client):
    """Speaks JSON, with somebody's key."""

    def __init__(self, user: User) -> None:
        self.key, self.text = create_api_key(user, "tests", datetime(2026, 1, 1, tzinfo=UTC))
        super().__init__(headers={"Authorization": f"Bearer {self.text}"})

    def generic(self, method: str, path: str, data: Any = "", content_type: str = "application/json", **more: Any):
        body = data if isinstance(data, str | bytes) else json.dumps(data)
        return super().generic(method, f"/api/v1{path}", body, content_type, **more)

    def post(self, path: str, data: Any = "") -> Any:
        return self.generic("POST", path, data)

    def put(self, path: str, data: Any = "") -> Any:
        return self.generic("PUT", path, data)


@pytest.fixture
def alices(alice: User) -> Api:
    """The admin's key."""
    return Api(alice)


@pytest.fixture
def bobs(bob: User) -> Api:
    """A member's key."""
    return Api(bob)


@pytest.fixture
def charlies(charlie: User) -> Api:
    """A stakeholder's key."""
    return Api(charlie)

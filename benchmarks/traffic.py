"""What a load client sends: the next request of a connection, made of what Sematext really posts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

PAYLOADS = Path(__file__).resolve().parent.parent / "tests" / "integrations" / "payloads" / "sematext"
# What tells one problem from another in the payload files.
_HOST = b"web-1"

Label = tuple[int, int]
"""What a request was: two numbers whose meaning is the traffic's, the second is the key's."""


class Traffic(Protocol):
    def next(self, connection: int) -> tuple[Label, bytes] | None:
        """The next request of a connection, asked when it is free; None when it has no more to say."""


class Template:
    """One request with a hole of fixed width for the key, so that making it costs one formatting."""

    def __init__(self, path: str, payload: str, prefix: str) -> None:
        body = (PAYLOADS / payload).read_bytes()
        before, after = body.split(_HOST)
        key = b"web-%b-" % prefix.encode()
        length = len(before) + len(key) + 8 + len(after)
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        head = "\r\n".join([*lines, f"Content-Length: {length}", "", ""])
        # In the body a per cent sign is text.
        self._text = (head.encode() + before + key).replace(b"%", b"%%") + b"%08d" + after.replace(b"%", b"%%")

    def __call__(self, number: int) -> bytes:
        return self._text % number


def fresh_prefix() -> str:
    """A part of all keys of a run that no run before had. Letters only: digits could be read as a value."""
    return "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz") for _ in range(8))


@dataclass
class Alerts:
    """Alerts of one source: `keys` of them taking turns, 0 for a new one with every request."""

    path: str
    keys: int = 0
    prefix: str = field(default_factory=fresh_prefix)
    _sent: int = 0
    _template: Template | None = None

    def next(self, connection: int) -> tuple[Label, bytes] | None:
        if self._template is None:
            self._template = Template(self.path, "alert.json", self.prefix)
        self._sent += 1
        number = self._sent % self.keys if self.keys else self._sent
        return (connection, number), self._template(number)


@dataclass
class InTurn:
    """Alerts of many sources in turns, `keys` of each; the label's first number is the source."""

    paths: list[str]
    keys: int
    prefix: str = field(default_factory=fresh_prefix)
    _sent: int = 0
    _templates: list[Template] = field(default_factory=list)

    def next(self, connection: int) -> tuple[Label, bytes] | None:
        if not self._templates:
            self._templates = [Template(path, "alert.json", self.prefix) for path in self.paths]
        self._sent += 1
        turn, source = divmod(self._sent, len(self.paths))
        return (source, turn % self.keys), self._templates[source](turn % self.keys)


@dataclass
class Pairs:
    """Trigger and resolve of a few keys in turns; each connection waits for every answer, as a tool would.

    With `owned` each key is used by one connection only. The label's first number is the connection.
    """

    path: str
    keys: int
    pairs: int
    owned: bool = False
    prefix: str = field(default_factory=fresh_prefix)
    _begun: int = 0
    _resolves: dict[int, int] = field(default_factory=dict)
    _templates: list[Template] = field(default_factory=list)

    def next(self, connection: int) -> tuple[Label, bytes] | None:
        if not self._templates:
            files = ("alert.json", "back_to_normal.json")
            self._templates = [Template(self.path, file, self.prefix) for file in files]
        if (key := self._resolves.pop(connection, None)) is not None:
            return (connection, key), self._templates[1](key)
        if self._begun == self.pairs or (self.owned and connection >= self.keys):
            return None
        key = connection if self.owned else self._begun % self.keys
        self._begun += 1
        self._resolves[connection] = key
        return (connection, key), self._templates[0](key)

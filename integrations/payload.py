"""Reading what tools send: untrusted bytes in, checked values out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

MAX_FIELDS = 1000
TRUE_WORDS = {"true", "1", "yes"}
FALSE_WORDS = {"false", "0", "no", ""}


class PayloadError(Exception):
    """A payload cannot be understood; the text names the field or the position and says what was expected."""


@dataclass(frozen=True)
class Payload:
    """A request as it came in. `content_type` is only a hint, as tools often send a wrong one or none."""

    body: bytes = b""
    content_type: str = ""
    query: str = ""

    def fields(self) -> "Fields":
        """Return the request's fields: a JSON object, a form, or the query string, whichever the tool sends.

        A field of the body wins over one of the query string.
        """
        query = _pairs(self.query)
        if not self.body.strip():
            return Fields(query)
        return Fields(query | self._body_fields())

    def _body_fields(self) -> dict[str, Any]:
        text = decode(self.body)
        if _looks_like_form(text, self.content_type):
            return _pairs(text)
        value = read_json(text)
        if not isinstance(value, dict):
            raise PayloadError(f"The body must be a JSON object, but it is {_kind(value)}.")
        return value


class Fields:
    """The named values of a payload, each read with a check of its own."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        if len(values) > MAX_FIELDS:
            raise PayloadError(f"The body has {len(values)} fields; at most {MAX_FIELDS} are read.")
        self.values = values

    def has_any(self, names: tuple[str, ...]) -> bool:
        return any(name in self.values for name in names)

    def text(self, name: str, default: str = "") -> str:
        """Return a text; numbers and booleans are taken in their JSON spelling, lists and objects are refused."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        raise PayloadError(f"“{name}” must be a text, but it is {_kind(value)}.")

    def boolean(self, name: str, default: bool = False) -> bool:
        """Return a truth value, given as JSON boolean or as a word in any case."""
        value = self.values.get(name)
        if value is None:
            return default
        word = self.text(name).lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        raise PayloadError(f"“{name}” must be true or false, but it is “{word[:80]}”.")

    def readable(self) -> dict[str, str]:
        """Return every field as text, for people to read."""
        return {
            str(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in self.values.items()
        }


def decode(body: bytes) -> str:
    """Return `body` as text: UTF-8, or UTF-16 / UTF-32 if a byte order mark or the zeros say so (as JSON allows)."""
    try:
        return body.decode(json.detect_encoding(body))
    except UnicodeDecodeError as error:
        raise PayloadError(
            f"The body is not valid text: byte {error.start} cannot be read as {error.encoding}."
        ) from None


def read_json(text: str) -> Any:
    """Return the JSON value in `text`; PayloadError says where it breaks."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PayloadError(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise PayloadError("The body is not acceptable JSON: it is nested too deeply.") from None
    except ValueError:
        # Python refuses to read integers of more than 4300 digits.
        raise PayloadError("The body is not acceptable JSON: a number in it is too long.") from None


def _looks_like_form(text: str, content_type: str) -> bool:
    return text.lstrip()[:1] not in '{["' and ("form" in content_type or "=" in text)


def _pairs(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise PayloadError(f"The parameters cannot be read: {error}.") from None
    return dict(pairs)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")

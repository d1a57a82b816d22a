"""Reading what tools send: untrusted bytes in, checked values out."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import parse_qsl

MAX_FIELDS = 1000
# Deeper than any tool nests, and far from where Python's own recursion ends, which differs from caller to caller.
MAX_DEPTH = 100
# What people read is bounded; the request itself is kept whole beside it.
MAX_SUMMARY = 500
MAX_DETAILS = 32_768
MAX_VALUE = 10_000
MAX_NAME = 200
TRUE_WORDS = {"true", "1", "yes"}
FALSE_WORDS = {"false", "0", "no", ""}
# White space, control characters, and the marks that turn the direction of writing for all that follows.
_NOT_IN_A_LINE = re.compile("[\\s\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_EPOCH = re.compile(r"[0-9]{9,13}(?:\.[0-9]{1,9})?")

Meaning = TypeVar("Meaning")


class PayloadError(Exception):
    """A payload cannot be understood; the text names the field or the position and says what was expected.

    It may quote what was sent, so what could disturb an answer, a log or a page is taken out of it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(_LONE_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", _NOT_IN_A_LINE.sub(" ", text)))


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
        if not self.body or self.body.isspace():
            return Fields(query)
        body = self._body_fields()
        return Fields(query | body if query else body)

    @cached_property
    def text(self) -> str:
        """The body as text; PayloadError if it is none."""
        return decode(self.body)

    def _body_fields(self) -> dict[str, Any]:
        text = self.text
        if _looks_like_form(text, self.content_type):
            return _pairs(text)
        value = read_json(text)
        if not isinstance(value, dict):
            raise PayloadError(f"The body must be a JSON object, but it is {kind(value)}.")
        return value


class Fields:
    """The named values of a payload or of an object in it, each read with a check of its own.

    `path` says where the object stands, such as `alerts[2].labels`, for messages that name a field.
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        if len(values) > MAX_FIELDS:
            where = f"“{path}”" if path else "The body"
            raise PayloadError(f"{where} has {len(values)} fields; at most {MAX_FIELDS} are read.")
        self.values = values
        self.path = path

    def name(self, name: str) -> str:
        """Return a field's whole name, for messages."""
        return shortened(f"{self.path}.{name}" if self.path else name, MAX_NAME)

    def has_any(self, names: tuple[str, ...]) -> bool:
        return not self.values.keys().isdisjoint(names)

    def text(self, name: str, default: str = "") -> str:
        """Return a text; numbers and booleans are taken in their JSON spelling, lists and objects are refused."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        raise PayloadError(f"“{self.name(name)}” must be a text, but it is {kind(value)}.")

    def loose(self, name: str) -> str:
        """Return whatever stands there as text: for what is good to have and not worth refusing an alert for."""
        value = self.values.get(name)
        return "" if value is None else as_text(value).strip()

    def boolean(self, name: str, default: bool = False) -> bool:
        """Return a truth value, given as JSON boolean or as a word in any case."""
        if self.values.get(name) is None:
            return default
        word = self.text(name).lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        raise PayloadError(f"“{self.name(name)}” must be true or false, but it is “{word[:80]}”.")

    def word(self, name: str, meanings: Mapping[str, Meaning]) -> Meaning | None:
        """Return what a word in any case means, None if there is no word; an unknown one is refused."""
        word = self.text(name)
        if not word:
            return None
        try:
            return meanings[word.lower()]
        except KeyError:
            raise PayloadError(f"“{self.name(name)}” is “{word[:80]}”, but must be {one_of(meanings)}.") from None

    def object(self, name: str) -> "Fields":
        """Return an object's fields; none if it is absent or null."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise PayloadError(f"“{self.name(name)}” must be an object, but it is {kind(value)}.")
        return Fields(value or {}, self.name(name))

    def objects(self, name: str) -> list["Fields"]:
        """Return a list of objects; an empty one if it is absent or null."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise PayloadError(f"“{self.name(name)}” must be a list, but it is {kind(value)}.")
        for number, item in enumerate(value):
            if not isinstance(item, dict):
                raise PayloadError(f"“{self.name(name)}[{number}]” must be an object, but it is {kind(item)}.")
        return [Fields(item, f"{self.name(name)}[{number}]") for number, item in enumerate(value)]

    def texts(self) -> dict[str, str]:
        """Return all values, each of which must be a text, a number or a boolean; null is left out."""
        return {name: self.text(name) for name, value in self.values.items() if value is not None}

    def labels(self) -> dict[str, str]:
        """Return all values as short texts."""
        return {one_line(name, MAX_NAME): one_line(text) for name, text in self.texts().items()}

    def readable(self, prefix: str = "") -> dict[str, str]:
        """Return every field as text, for people to read."""
        return {
            prefix + shortened(name, MAX_NAME): value
            if type(value) is str and len(value) <= MAX_VALUE  # nearly every one
            else shortened(as_text(value), MAX_VALUE)
            for name, value in self.values.items()
        }


def decode(body: bytes) -> str:
    """Return `body` as text: UTF-8, or UTF-16 / UTF-32 if a byte order mark or the zeros say so (as JSON allows)."""
    try:
        return body.decode(encoding_of(body))
    except UnicodeDecodeError as error:
        raise PayloadError(
            f"The body is not valid text: byte {error.start} cannot be read as {error.encoding}."
        ) from None


def encoding_of(body: bytes) -> str:
    """Return how a body is encoded, as JSON knows it."""
    # Nearly always it begins with two plain letters, which is seen at a glance.
    if body[:2].isascii() and b"\x00" not in body[:2]:
        return "utf-8"
    return json.detect_encoding(body)


def read_json(text: str) -> Any:
    """Return the JSON value in `text`; PayloadError says where it breaks."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise PayloadError(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        # Python refuses to read integers of more than 4300 digits.
        raise PayloadError("The body is not acceptable JSON: a number in it is too long.") from None
    # Counting is cheap, walking through is not; and who opens few brackets cannot be deep.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_too_deep(value):
        raise _too_deep()
    return value


def _too_deep() -> PayloadError:
    return PayloadError(
        f"The body is not acceptable JSON: it is nested too deeply; at most {MAX_DEPTH} levels are read."
    )


def kind(value: Any) -> str:
    """Say what a JSON value is."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def one_of(words: Mapping[str, object]) -> str:
    """List words for a message, in capitals as the tools' own documents spell them."""
    return "one of " + ", ".join(word.upper() for word in words)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def excerpt(value: Any, limit: int) -> str:
    """Return the beginning of a value as indented JSON, without writing more than what is shown."""
    pieces, length = [], 0
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
        pieces.append(piece[: limit + 1])
        length += len(pieces[-1])
        if length > limit:
            break
    return shortened("".join(pieces), limit)


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(text: str, limit: int = MAX_SUMMARY) -> str:
    """Return the beginning of a text as one line, without what could disturb the lines around it."""
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()  # nearly every text: nothing in it is to be replaced
    return shortened(_NOT_IN_A_LINE.sub(" ", text.strip()[: 4 * limit]).strip(), limit)


def code(text: str) -> str:
    """Return `text` as Markdown that shows it letter by letter, within a line."""
    text = one_line(text, MAX_SUMMARY)
    fence = "`" * (_longest_run(text) + 1)
    # Markdown takes one blank off each side, which lets the text begin and end with a backtick.
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def code_block(text: str, language: str = "") -> str:
    """Return `text` as a Markdown block that shows it letter by letter."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def moment(text: str) -> datetime | None:
    """Read a time: ISO 8601, or seconds or milliseconds since 1970. None if it is none, or far from our days."""
    try:
        if _EPOCH.fullmatch(text):
            seconds = float(text)
            return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
        read = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    if not 1970 < read.year < 2200:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _looks_like_form(text: str, content_type: str) -> bool:
    return text.lstrip()[:1] not in '{["' and ("form" in content_type or "=" in text)


def _pairs(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise PayloadError(f"The parameters cannot be read: {error}.") from None
    return dict(pairs)


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        children = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for group in children for child in group if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)

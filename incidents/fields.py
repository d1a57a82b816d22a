"""The fields that a tool sent, as somebody reads them: no brackets, no quotes, one line each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST = 100
_WEB = re.compile(r"https?://[^/\s]\S*", re.IGNORECASE)


@dataclass(frozen=True)
class Field:
    name: str
    value: str

    @property
    def is_link(self) -> bool:
        """Whether the value is the address of a web page: a `javascript:` one must not be clickable."""
        return _WEB.fullmatch(self.value) is not None


def readable(fields: dict[str, Any]) -> list[Field]:
    """Return the first `MOST` of the fields; what is nested is named by its path."""
    found = (Field(name, text) for name, text in _flat(fields, "") if text)
    return [field for field, _ in zip(found, range(MOST), strict=False)]


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        for place, inner in enumerate(value, 1):
            yield from _flat(inner, f"{name} {place}")
    elif isinstance(value, list):
        yield name, ", ".join(map(_word, value))
    else:
        yield name, _word(value)


def _word(value: Any) -> str:
    if value is None:
        return ""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

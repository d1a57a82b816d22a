"""Text of strangers made fit to be stored and shown."""

import re
from typing import Any

# PostgreSQL refuses NUL and lone surrogates in text and jsonb.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# Larger numbers than the database has are no ids.
MAX_ID = 2**63 - 1


def clean(text: str) -> str:
    """Return `text` with what PostgreSQL cannot store replaced by the replacement character."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def typed(text: str) -> str:
    """Return what somebody has typed, fit to be stored: browsers send a line end as two characters and count one."""
    return clean(text).replace("\r\n", "\n").replace("\r", "\n")


def number(text: str) -> int | None:
    """Return the number that `text` is, as an address or a form gives the id of a row; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def clean_deep(value: Any) -> Any:
    """Return a JSON-like value with every text in it cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(name)): clean_deep(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_deep(item) for item in value]
    return value

"""Payloads are files, named by what happened."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "integrations" / "payloads"


def payload(slug: str, name: str, **changes: Any) -> bytes:
    """Return a payload of the integration `slug`, with fields changed by keyword."""
    content = (FOLDER / slug / f"{name}.json").read_bytes()
    return json.dumps(json.loads(content) | changes).encode() if changes else content

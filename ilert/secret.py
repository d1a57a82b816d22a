"""Secrets that the product makes for itself on its first start."""

import os
import secrets
from pathlib import Path


def generated_secret(path: Path) -> str:
    """Return the secret kept in `path`, made on first use and readable by its owner only.

    Two processes may come here at once on a first start: the file appears whole or not at all, and the first one wins.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(48))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()

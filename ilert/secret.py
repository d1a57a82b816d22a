"""Secrets that the product makes for itself on its first start."""

import contextlib
import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def generated_secret(path: Path) -> str:
    """Return the secret kept in `path`, made on first use and readable by its owner only.

    ImproperlyConfigured when the data directory cannot be used.
    Two processes may come here at once on a first start: the file appears whole or not at all, and the first one wins.
    """
    try:
        if not path.exists():
            _make(path)
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path.parent} cannot be used ({error.strerror}): give it to this user, or choose another data directory "
            "with ILERT_DATA_DIR."
        ) from error


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(48))
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()

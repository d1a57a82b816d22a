"""Where the embedded engines live, and the addresses that lead to them.

Pure functions of the data directory, without Django: the settings call them, so that any `manage.py` command finds the
engines of a running `up`. `<data_dir>/postgres` and `<data_dir>/valkey` hold the data, `socket_dir()` the sockets.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from urllib.parse import quote

POSTGRES_USER = "ilert"
POSTGRES_DATABASE = "ilert"
VALKEY_SOCKET = "valkey.sock"

# The kernel takes 107 bytes for the path of a socket, and PostgreSQL appends "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_DIR = 85
# Not tempfile.gettempdir(): TMPDIR may differ between the shell of `up` and the one of the next command.
# A directory of our own in it, 0700, its owner verified.
_SHORT_PLACE = Path("/tmp")  # noqa: S108  # nosec B108


class UnsafeSocketDir(Exception):
    """The directory for the sockets belongs to somebody else, or is open to others."""


def postgres_dir(data_dir: Path) -> Path:
    return data_dir / "postgres"


def valkey_dir(data_dir: Path) -> Path:
    return data_dir / "valkey"


def log_dir(data_dir: Path) -> Path:
    return data_dir / "log"


def socket_dir(data_dir: Path) -> Path:
    """`<data_dir>/run`, or a short one named by owner and data directory where that path is too long for a socket.

    Nothing is created: see `ensure_socket_dir`.
    """
    data_dir = data_dir.resolve()
    inside = data_dir / "run"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIR:
        return inside
    # The owner of the data, not the caller: root's `manage.py` finds the engines that an ordinary user started.
    owner = data_dir.stat().st_uid if data_dir.exists() else os.geteuid()
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return _SHORT_PLACE / f"ilert-{owner}-{digest}"


def ensure_socket_dir(data_dir: Path, owner: int | None = None) -> Path:
    """Make the socket directory, 0700 and ours: whoever may enter it may use the database.

    `owner` is the user PostgreSQL runs as where that is another one (see `process.Identity`).
    Raises `UnsafeSocketDir` if somebody else was there first.
    """
    path = socket_dir(data_dir)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    allowed = {os.geteuid()} | ({owner} if owner is not None else set())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in allowed:
        raise UnsafeSocketDir(f"{path} belongs to another user: remove it, or choose a shorter ILERT_DATA_DIR.")
    path.chmod(0o700)
    if owner is not None and found.st_uid != owner:
        os.chown(path, owner, -1)
    return path


def database_url(data_dir: Path) -> str:
    """For libpq, psycopg and django-environ alike; the latter puts the host into `OPTIONS["host"]`."""
    host = quote(str(socket_dir(data_dir)), safe="")
    return f"postgres://{POSTGRES_USER}@/{POSTGRES_DATABASE}?host={host}"


def redis_url(data_dir: Path, db: int = 0) -> str:
    """For redis-py."""
    return f"unix://{quote(str(socket_dir(data_dir) / VALKEY_SOCKET))}?db={db}"


def broker_url(data_dir: Path, db: int = 0) -> str:
    """The same address as kombu, and so Celery, spells it."""
    return f"redis+socket://{quote(str(socket_dir(data_dir) / VALKEY_SOCKET))}?virtual_host={db}"

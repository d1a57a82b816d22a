"""What has to be true before the processes start: schema, first admin, static files.

All of it runs in forked children, so that the parent, from which everything else is forked, never opens a connection.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from importlib import import_module
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader

from accounts.services import ensure_first_admin
from oncall.services import ensure_default_policy

# One number for all processes that may migrate the same database at once.
_MIGRATION_LOCK = 0x1_1E27


def prepare_database(answer: int) -> int:
    """Migrate if needed and make sure that there is an admin and a policy; writes the sign-in as JSON to `answer`."""
    # A direct connection: a pool would hide why it cannot connect, and this process needs but one.
    connection.settings_dict["OPTIONS"].pop("pool", None)
    try:
        _wait_for_database()
    except OperationalError as error:
        reason = " ".join(str(error).split())
        print(f"PostgreSQL cannot be reached ({reason}): start it, or check DATABASE_URL.")
        return 2
    with connection.cursor() as cursor:
        # The limits are for requests; a migration may take longer.
        cursor.execute("SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    _take_turn()
    _migrate_if_needed()
    email, password = ensure_first_admin()
    ensure_default_policy()
    os.write(answer, json.dumps({"email": email, "password": password}).encode())
    connection.close()
    return 0


def _take_turn() -> None:
    """Wait until nobody else migrates this database.

    By asking again: whoever waits inside a statement keeps the other one's indexes, which are built beside the intake,
    from being finished, and PostgreSQL ends such a pair as a deadlock.
    """
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_MIGRATION_LOCK])
            if cursor.fetchone()[0]:
                return
            time.sleep(0.1)


def _wait_for_database() -> None:
    """Ours is starting just now, somebody else's may start later. Raises `OperationalError` if it stays away."""
    started = time.monotonic()
    # Ours may have a long log to read first; the supervisor knows if it has failed.
    patience = 600.0 if settings.EMBEDDED_DATABASE else 30.0
    said = False
    while True:
        try:
            connection.ensure_connection()
            return
        except OperationalError:
            waited = time.monotonic() - started
            if waited > patience:
                raise
            if waited > 2 and not said:
                print(f"Waiting up to {patience:.0f} s for PostgreSQL.")
                said = True
            time.sleep(0.02 if waited < 2 else 0.5)


def _migrate_if_needed() -> None:
    if migrations_on_disk() <= _migrations_applied():
        return
    print("Bringing the database up to date.")
    started = time.monotonic()
    call_command("migrate", interactive=False, verbosity=0)
    print(f"The database is up to date ({time.monotonic() - started:.1f} s).")


def migrations_on_disk() -> set[tuple[str, str]]:
    """(app, name) of every migration, from the names of the files: importing them all would take a second."""
    found: set[tuple[str, str]] = set()
    for config in apps.get_app_configs():
        module_name, _ = MigrationLoader.migrations_module(config.label)
        if module_name is None:
            continue
        try:
            module = import_module(module_name)
        except ModuleNotFoundError:
            continue
        for directory in module.__path__:
            found |= {(config.label, file.stem) for file in Path(directory).glob("[!_~]*.py")}
    return found


def _migrations_applied() -> set[tuple[str, str]]:
    with connection.cursor() as cursor:
        if "django_migrations" not in connection.introspection.table_names(cursor):
            return set()
        cursor.execute("SELECT app, name FROM django_migrations")
        return {(app, name) for app, name in cursor.fetchall()}


def collect_static() -> int:
    """Gather the static files into STATIC_ROOT."""
    root = Path(settings.STATIC_ROOT)
    stamp = static_stamp()  # taken before: a file that changes meanwhile is collected at the next start
    call_command("collectstatic", interactive=False, verbosity=0)
    (root / ".stamp").write_text(stamp)
    return 0


def static_is_current() -> bool:
    try:
        return (Path(settings.STATIC_ROOT) / ".stamp").read_text() == static_stamp()
    except OSError:
        return False


def static_stamp() -> str:
    """A digest that changes when a static file may have: the locks stand for packages, name, size and time for ours."""
    base = Path(settings.BASE_DIR)
    digest = hashlib.sha256()
    for lock in sorted((base / "requirements").glob("*.txt")):
        digest.update(lock.read_bytes())
    parts = (settings.INSTALLED_APPS, settings.STATICFILES_DIRS, settings.STORAGES, settings.STATIC_URL, str(base))
    digest.update(repr(parts).encode())
    own = [Path(config.path) / "static" for config in apps.get_app_configs()]
    for directory in own:
        if "site-packages" in directory.parts:
            continue
        for file in sorted(directory.rglob("*")):
            found = file.stat()
            digest.update(f"{file} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()

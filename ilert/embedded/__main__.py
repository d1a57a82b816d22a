"""`python -m ilert.embedded run -- COMMAND…`: run a command on throwaway engines.

PostgreSQL is started unless DATABASE_URL is set, Valkey unless REDIS_URL is; the command finds both through these
variables and CELERY_BROKER_URL. Secrets and files go to a throwaway ILERT_DATA_DIR unless that is set. The command's
exit code is ours, signals go on to it, and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ilert.embedded import engine, paths, process
from ilert.embedded.postgres import Postgres
from ilert.embedded.valkey import Valkey

_PREFIX = "ilert-throwaway-"
_FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
_FROM_KERNEL = 0x80  # si_code of a signal that the terminal sent to the whole group: the command has it already


def main(argv: list[str]) -> int:
    if len(argv) < 2 or argv[0] != "run":
        print("Usage: python -m ilert.embedded run [--] COMMAND [ARGUMENT…]", file=sys.stderr)
        return 2
    command = argv[2:] if argv[1] == "--" else argv[1:]
    _remove_leftovers()
    # Blocked rather than handled: a signal during the start waits until the command is there to get it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED | {signal.SIGCHLD})
    try:
        with _workspace() as directory, _engines(directory) as env:
            return _run(command, os.environ | env)
    except (engine.EngineError, PermissionError) as error:
        print(error, file=sys.stderr)
        return 1


@contextlib.contextmanager
def _workspace() -> Iterator[Path]:
    """A directory that is removed at the end; its lock tells a later run whether we are still alive."""
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _remove_leftovers() -> None:
    """Clear up after runs that were killed and could not do it themselves."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if directory.lstat().st_uid != os.geteuid():
                continue
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def _engines(directory: Path) -> Iterator[dict[str, str]]:
    """Start what is missing; yields the variables that lead there."""
    env: dict[str, str] = {}
    if not os.environ.get("ILERT_DATA_DIR"):
        env["ILERT_DATA_DIR"] = str(directory / "data")
    running: list[tuple[engine.Engine, int]] = []
    try:
        if not os.environ.get("REDIS_URL"):
            running.append(_start_valkey(directory, env))
        if not os.environ.get("DATABASE_URL"):
            running.append(_start_postgres(directory, env))
        for item, pid in running:
            engine.wait_ready(item, pid)
        yield env
    finally:
        for item, pid in running:
            engine.stop(item, pid)


def _start_valkey(directory: Path, env: dict[str, str]) -> tuple[engine.Engine, int]:
    sockets = paths.ensure_socket_dir(directory)
    valkey = Valkey(paths.valkey_dir(directory), sockets, directory / "valkey.log", durable=False)
    env["REDIS_URL"] = paths.redis_url(directory)
    if not os.environ.get("CELERY_BROKER_URL"):
        env["CELERY_BROKER_URL"] = paths.broker_url(directory)
    return valkey, valkey.start()


def _start_postgres(directory: Path, env: dict[str, str]) -> tuple[engine.Engine, int]:
    identity = process.unprivileged_identity()
    sockets = paths.ensure_socket_dir(directory, identity.owner)
    postgres = Postgres(
        paths.postgres_dir(directory), sockets, directory / "postgres.log", identity=identity, durable=False
    )
    postgres.initialise()
    env["DATABASE_URL"] = paths.database_url(directory)
    return postgres, postgres.start()


def _run(command: list[str], env: dict[str, str]) -> int:
    """Run the command in our process group, so that it may read from the terminal; forward signals until it ends."""
    pid = process.spawn(command, death_signal=signal.SIGTERM, env=env, new_session=False)
    while True:
        info = signal.sigwaitinfo(_FORWARDED | {signal.SIGCHLD})
        if info.si_signo == signal.SIGCHLD:
            code = process.reap(pid, 0)
            if code is not None:
                return code
        elif info.si_code != _FROM_KERNEL:
            os.kill(pid, info.si_signo)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

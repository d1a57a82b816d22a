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
from types import FrameType

from ilert.embedded import process
from ilert.up.console import Console
from ilert.up.program import Channels, Failed, Program, Running, Slot, how
from ilert.up.rolling import Roll

_LONGEST_LINE = 64_000
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ


class Stopped(Exception):
    """Somebody asked for the end while something was waited for."""


class Supervisor:
    def __init__(self, console: Console) -> None:
        self.console = console
        self.slots: dict[str, Slot] = {}
        self.on_idle: list[tuple[float, Callable[[], None]]] = []
        self._idle_due: list[float] = []
        self._selector = selectors.PollSelector()  # epoll refuses plain files, which the output may be
        self._stops_asked = 0
        self._stops_seen = 0
        self._hangups = 0
        self._roll = Roll(self._start, console.say)
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
                self._hangups += 1

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
        if not self._stopping:
            if self._hangups:
                self._hangups = 0
                self._roll.ask(slot for slot in self.slots.values() if slot.program.rolls)
            self._roll.go_on()
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
            self._schedule(slot, was_ready=False, lived=0.0)
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
            self.console.say(f"{slot.program.name} ended ({how(code)}); another process of it runs on")
            return
        if not running.ready and slot.program.mend and not slot.mended and (mended := slot.program.mend()):
            slot.mended = True
            slot.exit_code = None
            self.console.say(mended)
            slot.due = time.monotonic()
            return
        delay = self._schedule(slot, was_ready=running.ready, lived=time.monotonic() - running.since)
        if slot.been_ready:
            self.console.say(f"{slot.program.name} ended ({how(code)}); starting it again in {delay:g} s")

    def _schedule(self, slot: Slot, *, was_ready: bool, lived: float) -> float:
        delay = slot.delay.after(was_ready=was_ready, lived=lived)
        slot.due = time.monotonic() + delay
        return delay

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

"""Starting a process that cannot outlive the one that started it.

Linux only: `PR_SET_PDEATHSIG` sends a signal when the parent dies, however it dies. The signal follows the parent's
*thread*, so everything here has to be called from the main thread. PostgreSQL refuses to run as root, so that for root
it runs in a user namespace, where it sees itself as `nobody` while its files stay ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Identity:
    """Who a process is: itself (uid None), a name for itself inside a user namespace, or really another user."""

    uid: int | None = None
    gid: int | None = None
    namespace: bool = False

    @property
    def owner(self) -> int | None:
        """The user that its files have to belong to, if that is not the caller."""
        return None if self.namespace else self.uid


SELF = Identity()


def die_with_parent(sig: int, parent: int) -> None:
    """Have the kernel send `sig` to this process when its parent (process id `parent`) is gone."""
    if _libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        # The parent died between fork and prctl: nobody will send the signal any more.
        os._exit(1)


def name_process(name: str) -> None:
    """What `top` and `ps -e` show; at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _become(identity: Identity) -> None:
    if identity.uid is None or identity.gid is None:
        return
    if not identity.namespace:
        os.setgroups([])
        os.setgid(identity.gid)
        os.setuid(identity.uid)
        return
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")  # else the kernel refuses the map of groups
    Path("/proc/self/uid_map").write_text(f"{identity.uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{identity.gid} {outer_gid} 1")


def _may_become(identity: Identity) -> bool:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _become(identity)
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def unprivileged_identity() -> Identity:
    """Who PostgreSQL should be: ourselves if we are an ordinary user with a name, else nobody.

    `initdb` insists on finding itself in the list of users, so the identity is one that is there. Raises
    `PermissionError` where the system allows neither a user namespace nor another user.
    """
    euid = os.geteuid()
    try:
        pwd.getpwuid(euid)
        named = True
    except KeyError:
        named = False
    if euid != 0 and named:
        return SELF
    nobody = _nobody()
    for identity in (
        Identity(nobody.pw_uid, nobody.pw_gid, namespace=True),
        Identity(nobody.pw_uid, nobody.pw_gid),
    ):
        if _may_become(identity):
            return identity
    raise PermissionError(
        "PostgreSQL does not run as root, and this system lets root be nobody else: "
        "start as an ordinary user, or set DATABASE_URL."
    )


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)


def reset_signals() -> None:
    """The dispositions and the mask that a new program expects; handlers of the parent mean nothing in the child."""
    for sig in (signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(sig, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def fork(target: Callable[[], int], *, death_signal: int, output: int | None, new_session: bool = True) -> int:
    """Run `target` in a child that dies with this process; its result is the exit code. Returns the child's id.

    A session of its own, so that Ctrl-C reaches only us and we decide in which order things stop.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid != 0:
        return pid
    code = 1
    try:
        reset_signals()
        if new_session:
            os.setsid()
        die_with_parent(death_signal, parent)
        if output is not None:
            _redirect(output)
        code = target()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code & 0xFF)


def spawn(
    argv: Sequence[str],
    *,
    death_signal: int,
    identity: Identity = SELF,
    output: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    new_session: bool = True,
    keep: Iterable[int] = (),
) -> int:
    """Start a program that dies with this process. `keep` are descriptors that it shall inherit. Returns its id."""

    def run() -> NoReturn:
        _become(identity)
        # Again after the change of user, which clears it.
        die_with_parent(death_signal, parent)
        if cwd is not None:
            os.chdir(cwd)
        for fd in keep:
            os.set_inheritable(fd, True)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and that would be inherited
        os.execvpe(argv[0], list(argv), dict(os.environ if env is None else env))  # noqa: S606  # nosec B606

    parent = os.getpid()
    return fork(run, death_signal=death_signal, output=output, new_session=new_session)


def _redirect(output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = open(1, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115


def end_group(pid: int, timeout: float = 5.0) -> None:
    """Kill what is left of the session that a `spawn` began, and wait until it is gone."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, os.WNOHANG)
        except ProcessLookupError:
            return
        except (ChildProcessError, PermissionError):
            pass
        time.sleep(0.01)


def exit_code(status: int) -> int:
    """The shell's way of saying how a process ended: its code, or 128 and the signal."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def reap(pid: int, timeout: float) -> int | None:
    """Wait for a child at most `timeout` seconds; its exit code, or None if it still runs."""
    deadline = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return exit_code(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.01)

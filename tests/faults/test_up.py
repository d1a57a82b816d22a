"""`make up` as a person meets it: started, stopped, killed, started again, and told what is wrong."""

from __future__ import annotations

import contextlib
import http.client
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ilert.embedded import paths
from tests.faults.running import ROOT, Process, Up, environment, eventually, family, free_port

pytestmark = pytest.mark.faults

Starter = Callable[..., Up]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make mounts or become somebody else")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of an installation that was started once and stopped."""
    first = Up(tmp_path_factory.mktemp("first") / "var")
    try:
        first.runs().stop()
    finally:
        first.end()
    return first.data_dir


@pytest.fixture
def warm(place: Path, stopped: Path) -> None:
    """Give this test an installation that has been started before."""
    shutil.copytree(stopped, place / "var", ignore=shutil.ignore_patterns("run"))


def query(data_dir: Path, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(paths.database_url(data_dir), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_first_start_shows_how_to_sign_in_and_the_second_keeps_the_data(up: Starter) -> None:
    first = up().runs()
    first.serves()
    assert re.search(r"Sign in as +admin@localhost", first.output)
    assert re.search(r"Password +\S{10,}", first.output)
    query(first.data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert first.stop() == []
    assert first.popen.returncode == 0

    second = up().runs()
    second.serves()
    assert "Password" not in second.output
    assert query(second.data_dir, "SELECT answer FROM kept") == [(42,)]


@pytest.mark.usefixtures("warm")
def test_warm_start_shows_a_page_within_five_seconds(up: Starter) -> None:
    started = time.monotonic()
    up().serves(timeout=5)
    assert time.monotonic() - started < 5


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_nothing(up: Starter, sig: signal.Signals) -> None:
    running = up().runs()
    everyone = {"ilert-web", "ilert-worker", "ilert-pool", "ilert-ticker", "postgres", "valkey-server"}
    # A process of the pool takes its name a moment after the worker says that it is ready.
    eventually(lambda: everyone <= {process.name for process in running.family()}, 5, f"all of {everyone}")
    assert running.stop(sig, timeout=10) == []
    assert running.popen.returncode == 0
    assert not list((running.data_dir / "run").glob("*.sock"))


def test_ctrl_c_during_the_first_start_leaves_nothing_half(up: Starter) -> None:
    for delay in (0.6, 1.2, 2.0):
        running = up()
        time.sleep(delay)
        assert running.stop(timeout=10) == []
    up().runs().serves()


@pytest.mark.usefixtures("warm")
def test_killed_parent_takes_everybody_along_and_the_next_start_has_the_data(up: Starter) -> None:
    running = up().runs()
    query(running.data_dir, "CREATE TABLE kept AS SELECT 42 AS answer")
    everyone = running.family()
    assert len(everyone) >= 10
    running.popen.kill()
    running.popen.wait()
    eventually(lambda: not any(process.alive for process in everyone), 5, f"the end of {everyone}")
    again = up().runs()
    again.serves()
    assert query(again.data_dir, "SELECT answer FROM kept") == [(42,)]


@pytest.mark.usefixtures("warm")
def test_start_right_after_a_kill_waits_for_the_old_processes(up: Starter) -> None:
    for _ in range(3):
        running = up().runs()
        running.popen.kill()
        running.popen.wait()
    up().runs().serves()


@pytest.mark.usefixtures("warm")
def test_everything_killed_at_once_keeps_what_was_committed(up: Starter) -> None:
    running = up().runs()
    query(running.data_dir, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    for process in running.family():
        with contextlib.suppress(ProcessLookupError):  # went with the one before
            os.kill(process.pid, signal.SIGKILL)
    running.popen.wait()
    again = up().runs()
    assert query(again.data_dir, "SELECT count(*) FROM kept") == [(1000,)]


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("name", ["ilert-web", "ilert-worker", "ilert-ticker", "postgres", "valkey-server"])
def test_killed_child_is_started_again(up: Starter, name: str) -> None:
    running = up().runs()
    old = running.member(name)
    os.kill(old.pid, signal.SIGKILL)
    running.says(r"ended \(SIGKILL\); starting it again", 5)
    eventually(lambda: _other(running, name, old), 10, f"another {name}")
    running.serves(timeout=15)
    if name == "ilert-worker":
        running.says(r"(?s) ready.*SIGKILL.* ready", 15)
    assert running.stop() == []


def _other(running: Up, name: str, old: Process) -> bool:
    return any(process != old for process in running.members(name))


@pytest.mark.usefixtures("warm")
def test_killed_again_and_again_is_still_missed_at_once(up: Starter) -> None:
    running = up(ILERT_TICKERS="2").runs()
    for _ in range(8):
        old = running.members("ilert-ticker")
        os.kill(old[0].pid, signal.SIGKILL)
        eventually(lambda old=old: running.members("ilert-ticker")[1:] != old[1:], 3, "another ticker")


@pytest.mark.usefixtures("warm")
def test_killed_worker_takes_its_pool_along(up: Starter) -> None:
    running = up().runs()
    pool = family(running.member("ilert-worker").pid)[1:]
    assert pool
    os.kill(running.member("ilert-worker").pid, signal.SIGKILL)
    eventually(lambda: not any(process.alive for process in pool), 5, "the end of the pool")


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("count", [1, 2])
def test_hangup_changes_the_web_processes_without_refusing_anybody(up: Starter, count: int) -> None:
    running = up(ILERT_WEB_PROCESSES=str(count)).runs()
    running.serves()
    failures: list[str] = []
    answered = 0
    stop = threading.Event()

    def visit() -> None:
        nonlocal answered
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
                answered += 1
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
            finally:
                connection.close()

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for _ in range(3):
        old = running.members("ilert-web")
        assert len(old) == count
        running.popen.send_signal(signal.SIGHUP)
        least = count

        def changed(old: list[Process] = old) -> bool:
            nonlocal least
            now = running.members("ilert-web")
            least = min(least, len(now))
            return len(now) == count and not any(process.alive for process in old)

        eventually(changed, 30, "new web processes")
        assert least == count
    stop.set()
    for visitor in visitors:
        visitor.join()
    assert failures == []
    assert answered > 20


@pytest.mark.usefixtures("warm")
def test_closed_terminal_stops_everything(up: Starter, place: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        env = environment(ILERT_DATA_DIR=str(place / "var"), PORT=str(free_port()))
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "manage.py", "up"], env)
    seen = b""
    deadline = time.monotonic() + 30
    while b"Ctrl-C stops it" not in seen:
        assert time.monotonic() < deadline, seen.decode()
        seen += os.read(terminal, 65536)
    assert b"\x1b[" in seen  # colours, on a terminal
    everyone = family(pid)
    os.close(terminal)
    eventually(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, 10, "the end of up")
    assert not any(process.alive for process in everyone)


@pytest.mark.usefixtures("warm")
def test_output_that_nobody_reads_holds_nobody(up: Starter, place: Path) -> None:
    """Ctrl-S in the terminal, or a pager: pages are still served and dead processes still replaced."""
    port = free_port()
    unread, theirs = os.pipe()
    running = subprocess.Popen(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment(ILERT_DATA_DIR=str(place / "var"), PORT=str(port), LOG_LEVEL="DEBUG"),
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    everyone: list[Process] = []
    try:
        pages = 0

        def page() -> bool:
            nonlocal pages
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/")
                pages += connection.getresponse().status < 500
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()
            return pages >= 200

        eventually(page, 60, "200 pages")
        everyone = family(running.pid)
        running.send_signal(signal.SIGINT)
        running.wait(15)
    finally:
        os.close(unread)
        if running.poll() is None:
            running.kill()
            running.wait()
    assert not any(process.alive for process in everyone)


def test_port_taken_is_one_sentence(up: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = up(port=port)
        assert refused.popen.wait(15) == 1
    assert f"Port {port} is taken" in refused.output
    assert f"PORT={port + 1} make up" in refused.output
    assert "Traceback" not in refused.output


@pytest.mark.usefixtures("warm")
def test_second_up_on_the_same_data_says_who_has_it(up: Starter) -> None:
    running = up().runs()
    second = up()
    assert second.popen.wait(15) == 1
    assert f"process {running.popen.pid}" in second.output
    assert f"kill {running.popen.pid}" in second.output
    assert "Traceback" not in second.output
    running.serves()


def test_data_directory_that_cannot_be_written_is_one_sentence(up: Starter, place: Path) -> None:
    (place / "file").write_text("in the way")
    refused = up(place / "var", ILERT_DATA_DIR=str(place / "file" / "var"))
    assert refused.popen.wait(15) != 0
    assert "ILERT_DATA_DIR" in refused.output
    assert "Traceback" not in refused.output


@as_root
def test_full_disk_is_one_sentence(up: Starter, place: Path) -> None:
    refused = up(command=on_small_disk(place / "var", "80m"))
    assert refused.popen.wait(15) == 1
    assert re.search(r"Only \d+ MB are free .* 500 MB are needed", refused.output)
    assert "Traceback" not in refused.output


@as_root
def test_disk_that_fills_up_later_is_survived(up: Starter, place: Path) -> None:
    running = up(command=on_small_disk(place / "var", "700m")).runs()
    # Its mounts are its own; the way to them leads through its view of the file system.
    inside = Path(f"/proc/{running.popen.pid}/root") / str(running.data_dir).lstrip("/")
    query_there = f"postgres://ilert@/ilert?host={quote(str(inside / 'run'), safe='')}"
    with psycopg.connect(query_there, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    filler = inside / "filler"
    with pytest.raises(OSError, match="No space left"):
        fill(filler)
    with pytest.raises(psycopg.Error):
        write_much(query_there)
    filler.unlink()

    def readable() -> bool:
        try:
            with psycopg.connect(query_there, autocommit=True) as connection:
                return connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]
        except psycopg.Error:
            return False

    eventually(readable, 30, "the database after the disk has space again")
    running.serves(timeout=20)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))


def write_much(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE big (filler text)")
        for _ in range(40):
            connection.execute("INSERT INTO big SELECT repeat(md5(n::text), 100) FROM generate_series(1, 9999) n")


def on_small_disk(data_dir: Path, size: str) -> list[str]:
    """A command that runs `up` with its data on a small disk of its own, seen by nobody else and gone with it."""
    data_dir.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o size={size},mode=700 none "$1" && exec "$2" manage.py up'
    return ["unshare", "--mount", "sh", "-c", script, "sh", str(data_dir), sys.executable]


@as_root
def test_ordinary_user_needs_nothing_special(up: Starter, place: Path) -> None:
    """The tree and its packages mounted where that user can read them; nothing about the user exists but the number."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    for name in ("tree", "packages", "python", "home"):
        (place / name).mkdir()
    shutil.chown(place / "home", 65534, 65534)
    script = (
        'mount --bind "$1" tree && mount --bind "$2" packages && mount --bind "$3" python && '
        'export PATH="$PWD/python/bin:$PATH" LD_LIBRARY_PATH="$PWD/python/lib" && cd tree && '
        'exec setpriv --reuid=65534 --regid=65534 --clear-groups "python$4" manage.py up'
    )
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    command = ["env", "-C", str(place), "unshare", "--mount", "sh", "-c", script, "sh"]
    command += [str(ROOT), packages, sys.base_prefix, version]
    running = up(place / "home" / "var", command=command, PYTHONPATH=str(place / "packages"), HOME=str(place / "home"))
    running.runs()
    running.serves()
    assert {Path(f"/proc/{process.pid}").stat().st_uid for process in running.family()} == {65534}
    everyone = running.family()
    running.popen.kill()
    running.popen.wait()
    eventually(lambda: not any(process.alive for process in everyone), 5, f"the end of {everyone}")


@pytest.mark.usefixtures("warm")
def test_valkey_that_cannot_read_its_file_starts_without_it(up: Starter) -> None:
    running = up().runs()
    running.stop()
    manifest = next((running.data_dir / "valkey").rglob("*.manifest"))
    manifest.write_text("nonsense\n")
    again = up().runs()
    assert "set aside" in again.output
    assert list(again.data_dir.glob("valkey.unreadable-*"))


@pytest.mark.usefixtures("warm")
def test_any_command_finds_the_engines_of_a_running_up(up: Starter) -> None:
    running = up().runs()
    done = subprocess.run(
        [
            sys.executable,
            "manage.py",
            "shell",
            "-v0",
            "-c",
            "from django.db import connection as c; c.ensure_connection(); print('found')",
        ],
        cwd=ROOT,
        env=environment(ILERT_DATA_DIR=str(running.data_dir)),
        capture_output=True,
        check=False,
        text=True,
        timeout=20,
    )
    assert done.stdout.strip() == "found", done.stderr

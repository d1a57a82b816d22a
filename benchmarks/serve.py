"""One door in a process of its own, served as `make up` serves it: python -m benchmarks.serve DOOR PORT."""

from __future__ import annotations

import os
import sys

import django

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
    from ilert.up import checks, roles  # noqa: PLC0415 - wants the settings

    roles.preload()
    roles.freeze()
    return roles.web(checks.listen("127.0.0.1", port), os.open(os.devnull, os.O_WRONLY), DOORS[door])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

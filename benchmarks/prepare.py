"""Migrate and make sources: python -m benchmarks.prepare NUMBER prints their webhook paths as JSON."""

from __future__ import annotations

import json
import os
import sys
from urllib.parse import urlsplit

import django


def main(number: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - want the settings

    from accounts.services import ensure_first_admin  # noqa: PLC0415
    from alertsources.services import create_source  # noqa: PLC0415
    from oncall.models import EscalationPolicy  # noqa: PLC0415
    from oncall.services import ensure_default_policy  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    ensure_first_admin()
    ensure_default_policy()
    policy = EscalationPolicy.objects.order_by("pk")[0]
    sources = [create_source(f"Load {place}", "SEMATEXT", policy) for place in range(number)]
    print(json.dumps([urlsplit(source.integration_url).path for source in sources]))


if __name__ == "__main__":
    main(int(sys.argv[1]))

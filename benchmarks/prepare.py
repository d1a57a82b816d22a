"""Migrate and make sources: python -m benchmarks.prepare NUMBER prints their webhook paths as JSON."""

from __future__ import annotations

import json
import os
import sys
import uuid
from urllib.parse import urlsplit

import django


def main(number: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")
    django.setup()
    from django.core.management import call_command  # noqa: PLC0415 - want the settings

    from accounts.models import User  # noqa: PLC0415
    from accounts.services import ensure_first_admin  # noqa: PLC0415
    from alertsources.services import create_source  # noqa: PLC0415
    from oncall.services import create_policy_asking, ensure_default_policy  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    ensure_first_admin()
    ensure_default_policy()
    # Each time somebody else is asked: what they are told is not bundled with what others are.
    name = f"Load {User.objects.count()}"
    person = User.objects.create_user(f"{uuid.uuid4()}@example.org", uuid.uuid4().hex, name=name)
    policy = create_policy_asking(name, person)
    sources = [create_source(f"Load {place}", "SEMATEXT", policy) for place in range(number)]
    print(json.dumps([urlsplit(source.integration_url).path for source in sources]))


if __name__ == "__main__":
    main(int(sys.argv[1]))

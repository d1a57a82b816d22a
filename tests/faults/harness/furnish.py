"""Run as a program beside a running `up`: makes the people, policies and sources of `world`; prints the keys."""

from __future__ import annotations

import json
import sys

import django

django.setup()

from django.db import transaction  # noqa: E402

from accounts.models import User  # noqa: E402
from alertsources.services import create_source  # noqa: E402
from ilert.common.clock import database_now  # noqa: E402
from notifications.channels.webhook import new_secret  # noqa: E402
from notifications.models import ContactMethod, NotificationRule, Priority  # noqa: E402
from oncall.models import EscalationPolicy, EscalationRule  # noqa: E402
from tests.faults.harness import world  # noqa: E402


@transaction.atomic
def furnish(webhooks: str) -> list[str]:
    """Make everything. `webhooks` is where the receivers listen. Returns the integration key of each source."""
    people = User.objects.bulk_create(
        User(email=world.email_address(number), name=f"Person {number}", password="!") for number in range(world.PEOPLE)
    )
    for number, person in enumerate(people):
        addresses = {
            world.WEBHOOK: (webhooks + world.webhook_path(number), new_secret()),
            world.EMAIL: (world.email_address(number), ""),
        }
        for channel, seconds in world.method_delays(number).items():
            address, secret = addresses[channel]
            method = ContactMethod.objects.create(
                user=person, channel=channel, address=address, secret=secret, verified_at=database_now()
            )
            NotificationRule.objects.create(
                user=person, contact_method=method, priority=Priority.HIGH, delay_minutes=seconds // 60
            )
    return [_source(number, people) for number in range(world.PEOPLE)]


def _source(number: int, people: list[User]) -> str:
    policy = EscalationPolicy.objects.create(name=f"Policy {number}")
    asked = world.levels(number)
    for position, person in enumerate(asked):
        minutes = world.LAST_LEVEL_MINUTES if position == len(asked) - 1 else world.LEVEL_SECONDS // 60
        rule = EscalationRule.objects.create(policy=policy, position=position, escalation_timeout=minutes)
        rule.users.add(people[person])
    return create_source(f"Source {number}", "API", policy).integration_key


if __name__ == "__main__":
    print(json.dumps(furnish(sys.argv[1])))

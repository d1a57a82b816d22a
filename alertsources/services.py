"""What can be done with alert sources."""

from django.db import transaction
from django.db.models import ProtectedError

import integrations
from accounts.models import User
from alertsources import keys
from alertsources.models import AlertSource
from oncall.models import EscalationPolicy
from oncall.services import create_policy_asking


class SourceInUse(Exception):
    """The source has incidents, which are kept."""


def create_source(name: str, integration_type: str, escalation_policy: EscalationPolicy) -> AlertSource:
    """Create a source with a new integration key."""
    source = AlertSource(name=name, integration_type=integration_type, escalation_policy=escalation_policy)
    source.set_key(keys.generate(integrations.by_type(integration_type).key_infix))
    source.save()
    return source


@transaction.atomic
def create_source_and_policy(name: str, integration_type: str, policy_name: str, asked: User) -> AlertSource:
    """Create a source together with a new policy that asks `asked`: both or none."""
    return create_source(name, integration_type, create_policy_asking(policy_name, asked))


@transaction.atomic
def update_source(source: AlertSource, *, name: str, escalation_policy: EscalationPolicy, active: bool) -> None:
    """Change a source. Incidents that are open keep the policy they started with."""
    source.name, source.escalation_policy, source.active = name, escalation_policy, active
    source.save(update_fields=["name", "escalation_policy", "active"])


def set_active(source: AlertSource, active: bool) -> None:
    """Let a source's events in, or answer 404 to its tool."""
    source.active = active
    source.save(update_fields=["active"])


def delete_source(source: AlertSource) -> None:
    """Delete a source with its events. SourceInUse when it has incidents: they are history and stay."""
    try:
        source.delete()
    except ProtectedError as error:
        raise SourceInUse from error


def find_by_key(key: str) -> AlertSource | None:
    """Return the source that `key` belongs to, active or not."""
    return AlertSource.objects.select_related("escalation_policy").filter(key_hash=keys.digest(key)).first()

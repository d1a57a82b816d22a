"""What can be done with alert sources."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, ProtectedError, Q
from django.db.models.functions import Now

import integrations
from accounts import audit
from accounts.models import Team, User
from alertsources import keys
from alertsources.models import AlertSource, Priority
from oncall.models import EscalationPolicy
from oncall.services import create_policy_asking

OVERLAP = timedelta(hours=24)


class SourceInUse(Exception):
    """The source has incidents, which are kept."""


@dataclass(frozen=True)
class Options:
    """What an admin may set beside name and policy. None leaves the integration's own default."""

    priority: str = Priority.HIGH
    auto_resolution_minutes: int | None = None
    grouping: str | None = None
    rate_limit: int | None = None
    burst_limit: int | None = None


@transaction.atomic
def create_source(
    name: str,
    integration_type: str,
    escalation_policy: EscalationPolicy,
    options: Options | None = None,
    *,
    team: Team | None = None,
    active: bool = True,
) -> AlertSource:
    """Create a source with a new integration key."""
    integration = integrations.by_type(integration_type)
    source = AlertSource(name=name, integration_type=integration_type, escalation_policy=escalation_policy, team=team)
    source.active = active
    _set_options(source, options or Options())
    source.set_key(keys.generate(integration.key_infix))
    source.save()
    audit.created(source)
    return source


def _set_options(source: AlertSource, options: Options) -> None:
    source.priority = options.priority
    source.auto_resolution_minutes = options.auto_resolution_minutes
    source.grouping = options.grouping or source.integration.grouping.value
    source.rate_limit, source.burst_limit = options.rate_limit, options.burst_limit


def rotate_key(source: AlertSource, now: datetime) -> None:
    """Give the source a new key. The old one works on for `OVERLAP`; one from a rotation before ends now."""
    with audit.changing(source, "rotated key of"):
        source.previous_key_hash = source.key_hash
        source.previous_key_until = now + OVERLAP
        source.set_key(keys.generate(source.integration.key_infix))
        source.save(update_fields=["previous_key_hash", "previous_key_until", "integration_key", "key_hash"])


def revoke_previous_key(source: AlertSource) -> None:
    """End the overlap of a rotation now."""
    with audit.changing(source, "revoked old key of"):
        source.previous_key_hash = source.previous_key_until = None
        source.save(update_fields=["previous_key_hash", "previous_key_until"])


@transaction.atomic
def create_source_and_policy(
    name: str,
    integration_type: str,
    policy_name: str,
    asked: User,
    options: Options | None = None,
    *,
    team: Team | None = None,
) -> AlertSource:
    """Create a source together with a new policy that asks `asked`: both or none."""
    return create_source(name, integration_type, create_policy_asking(policy_name, asked), options, team=team)


def update_source(
    source: AlertSource, *, name: str, escalation_policy: EscalationPolicy, active: bool, options: Options
) -> None:
    """Change a source, and its team to the one it was given. Open incidents keep the policy they started with."""
    with audit.changing(source):
        source.name, source.escalation_policy, source.active = name, escalation_policy, active
        _set_options(source, options)
        changed = ("name", "escalation_policy", "team", "active", *(field.name for field in fields(Options)))
        source.save(update_fields=changed)


def set_active(source: AlertSource, active: bool) -> None:
    """Let a source's events in, or answer 404 to its tool."""
    with audit.changing(source, "enabled" if active else "disabled"):
        source.active = active
        source.save(update_fields=["active"])


@transaction.atomic
def delete_source(source: AlertSource) -> None:
    """Delete a source with its events. SourceInUse when it has incidents: they are history and stay."""
    # Whoever is about to store an event of it has its row until that is committed, and then it is in use.
    AlertSource.objects.select_for_update().filter(pk=source.pk).first()
    try:
        with audit.deleting(source):
            source.delete()
    except ProtectedError as error:
        raise SourceInUse from error


def find_by_key(key: str) -> AlertSource | None:
    """Return the source that `key` belongs to, active or not; an old key counts until its overlap is over."""
    return find_by_keys([key]).get(key)


def find_by_keys(wanted: Collection[str]) -> dict[str, AlertSource]:
    """Return the sources that keys belong to, in one look-up; unknown keys are left out."""
    digests = {key: keys.digest(key) for key in wanted}
    matching = Q(key_hash__in=digests.values()) | Q(
        previous_key_hash__in=digests.values(), previous_key_until__gt=Now()
    )
    by_digest: dict[bytes, AlertSource] = {}
    overlaps = ExpressionWrapper(Q(previous_key_until__gt=Now()), BooleanField())
    for source in AlertSource.objects.filter(matching).annotate(overlaps=overlaps):
        by_digest[bytes(source.key_hash)] = source
        if source.previous_key_hash and source.overlaps:  # type: ignore[attr-defined]  # annotated
            by_digest.setdefault(bytes(source.previous_key_hash), source)
    return {key: by_digest[digest] for key, digest in digests.items() if digest in by_digest}

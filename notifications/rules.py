"""A person's own order: which contact method is used how long after they are asked, for one priority."""

from django.db import transaction

from accounts import audit
from accounts.models import User
from notifications.models import ContactMethod, NotificationRule, Priority

MAX_RULES = 20
MAX_MINUTES = 1440

Line = tuple[ContactMethod, int]
"""A contact method, and after how many minutes it is used."""


@transaction.atomic
def set_rules(user: User, priority: Priority, lines: list[Line]) -> None:
    """Let exactly `lines` say how `user` is told about incidents of `priority`.

    What stays keeps its row, as messages that are planned are known by it.
    """
    # Whoever saves at the same moment waits here.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    stored = {(rule.contact_method_id, rule.delay_minutes): rule for rule in _stored(user, priority)}
    before = _told(user, priority)
    wanted = {(method.pk, minutes) for method, minutes in lines}
    NotificationRule.objects.filter(pk__in=[rule.pk for place, rule in stored.items() if place not in wanted]).delete()
    NotificationRule.objects.bulk_create(
        NotificationRule(user=user, contact_method_id=method_id, priority=priority, delay_minutes=minutes)
        for method_id, minutes in sorted(wanted - stored.keys())
    )
    name = f"{priority.label.lower()} priority"
    audit.record(
        audit.current_actor(),
        "changed notification rules of",
        user,
        {name: before},
        {name: _told(user, priority)},
    )


def _stored(user: User, priority: Priority) -> list[NotificationRule]:
    rules = NotificationRule.objects.filter(user=user, priority=priority)
    return list(rules.select_related("contact_method").order_by("delay_minutes", "pk"))


def _told(user: User, priority: Priority) -> list[str]:
    return [f"{rule.contact_method} after {rule.delay_minutes} min" for rule in _stored(user, priority)]

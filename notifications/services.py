"""What can be done with the ways to reach a person."""

import logging
import traceback
import uuid
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from ilert.common.links import absolute
from notifications.channels import DeliveryError, Link, Message
from notifications.models import ContactMethod, Notification, NotificationRule, Priority

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestResult:
    """What came of a test message: the provider's own answer, whether it took the message or not."""

    ok: bool
    answer: str


@dataclass(frozen=True)
class ReachWarning:
    """Something that keeps a person from being reached. `tone` is "danger" or "warning"."""

    tone: str
    title: str
    text: str


@transaction.atomic
def create_contact_method(
    user: User,
    channel: str,
    address: str,
    secret: str = "",  # nosec B107: most channels have none
) -> ContactMethod:
    """Add a way to reach `user`, used at once for both priorities. The address is one that the channel checked."""
    method = ContactMethod.objects.create(user=user, channel=channel, address=address, secret=secret)
    NotificationRule.objects.bulk_create(
        NotificationRule(user=user, contact_method=method, priority=priority) for priority in Priority
    )
    audit.created(method)
    return method


@transaction.atomic
def delete_contact_method(method: ContactMethod) -> None:
    """Remove a way to reach its owner. Messages to it that are not finished are cancelled, and say why."""
    Notification.objects.filter(
        contact_method=method, state__in=[Notification.State.PLANNED, Notification.State.SENDING]
    ).update(
        state=Notification.State.CANCELLED,
        due_at=None,
        lease_until=None,
        finished_at=timezone.now(),
        answer="The contact method was removed.",
    )
    with audit.deleting(method):
        method.delete()


def send_test(method: ContactMethod) -> TestResult:
    """Send a message to `method` now, past the outbox, and return what the provider says to it."""
    message = Message(
        id=str(uuid.uuid4()),
        title="Test message from ilert",
        text=f"This is how an urgent alert reaches {method.user}. Nothing is wrong.",
        urgent=True,
        link=Link("Open ilert", absolute("/")),
        data={"test": True},
    )
    try:
        return TestResult(True, method.channel_type.send(method.address, method.secret, message))
    except DeliveryError as error:
        return TestResult(False, error.answer)
    except Exception as error:
        # A fault of ours must not look like one of the provider's. Only its place is logged: its text may hold an
        # address or a secret.
        place = "".join(traceback.format_tb(error.__traceback__))
        logger.error("Test of contact method %s ended in %s\n%s", method.pk, type(error).__name__, place)
        return TestResult(False, "ilert could not send this, through a fault of its own. The log has the details.")


def warnings_for(user: User) -> list[ReachWarning]:
    """Return what keeps `user` from being reached, the worst first."""
    methods = list(ContactMethod.objects.filter(user=user))
    if not methods:
        return [
            ReachWarning("danger", "Nothing can reach you", "Add a way below, or nobody can tell you about incidents.")
        ]
    working = [method for method in methods if not method.channel_type.obstacle()]
    if not working:
        return [
            ReachWarning("danger", "Nothing reaches you yet", "No contact method of yours works now. Add another one.")
        ]
    used = set(NotificationRule.objects.filter(contact_method__in=working).values_list("priority", flat=True))
    found = [
        ReachWarning(
            "danger", f"{priority.label}-priority incidents do not reach you", "No contact method is used for them."
        )
        for priority in Priority
        if priority not in used
    ]
    if not any(method.channel_type.wakes for method in working):
        found.append(
            ReachWarning(
                "warning", "This may not wake you", "Add an app that rings, and allow it to break through silence."
            )
        )
    return found


def methods_for(user: User, priority: str) -> list[NotificationRule]:
    """Return how `user` is reached about an incident of `priority`: rules with their method, the soonest first."""
    return list(
        NotificationRule.objects.filter(user=user, priority=priority)
        .select_related("contact_method", "contact_method__user")
        .order_by("delay_minutes", "pk")
    )

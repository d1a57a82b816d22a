"""What can be done with the ways to reach a person."""

import logging
import traceback
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from ilert.common.clock import database_now
from ilert.common.links import absolute
from notifications import verification
from notifications.channels import DeliveryError, Link, Message
from notifications.models import ContactMethod, Notification, NotificationRule, Priority

# Between two tests of one contact method; within it so many of a person's methods can be tested.
TEST_PAUSE = timedelta(seconds=10)
TESTS_AT_ONCE = 3
# What failed longer ago says nothing about now.
FAILED_WITHIN = timedelta(days=7)

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
    *,
    verified_at: datetime | None = None,
) -> ContactMethod:
    """Add a way to reach `user`. The address is one that the channel checked.

    Once it is confirmed it is used at once for both priorities, and whoever wants it later says so: too early is a
    nuisance, too late is an outage.
    """
    method = ContactMethod.objects.create(
        user=user, channel=channel, address=address, secret=secret, verified_at=verified_at
    )
    NotificationRule.objects.bulk_create(
        NotificationRule(user=user, contact_method=method, priority=priority) for priority in Priority
    )
    audit.created(method)
    return method


def confirm_email(user: User, now: datetime) -> None:
    """Confirm the contact methods with the address that `user` signs in with: they have read mail that went there."""
    for method in ContactMethod.objects.filter(user=user, channel="email", verified_at=None):
        if method.address.lower() == user.email.lower():
            verification.confirm(method, now)


@transaction.atomic
def move_email_methods(person: User, old_email: str, now: datetime) -> None:
    """Let the methods with the old address of `person` have the new one.

    Somebody else who typed it may have mistyped it, so that it has to be confirmed then. What waits for the old
    address is not sent to one that is not confirmed.
    """
    is_own = audit.current_actor() == person
    for method in ContactMethod.objects.filter(user=person, channel="email"):
        if method.address.lower() != old_email.lower():
            continue
        with audit.changing(method):
            method.address = person.email
            method.verified_at = method.verified_at if is_own else None
            method.save(update_fields=["address", "verified_at"])
        verification.end_codes(method)
        if not is_own:
            _cancel(method, "The address was changed, and the new one is not confirmed.", now)


@transaction.atomic
def delete_contact_method(method: ContactMethod) -> None:
    """Remove a way to reach its owner. Messages to it that are not finished are cancelled, and say why."""
    _cancel(method, "The contact method was removed.", timezone.now())
    with audit.deleting(method):
        method.delete()


def _cancel(method: ContactMethod, why: str, now: datetime) -> None:
    open_states = [Notification.State.PLANNED, Notification.State.SENDING]
    Notification.objects.filter(contact_method=method, state__in=open_states).update(
        state=Notification.State.CANCELLED, due_at=None, lease_until=None, finished_at=now, answer=why
    )


def send_test(method: ContactMethod) -> TestResult:
    """Send a message to `method` now, past the outbox, and return what the provider says to it.

    Until the method is confirmed the message carries the code that confirms it.
    Nothing is sent to a method that was tested a moment ago, nor for a person who tests many at once.
    """
    now = database_now()
    wait = _claim_test(method, now)
    if wait:
        return TestResult(False, f"This was tested a moment ago. Try again in {_time(wait)}.")
    message = _test_message(method) if method.verified_at else verification.message(method, now)
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


def _test_message(method: ContactMethod) -> Message:
    return Message(
        id=str(uuid.uuid4()),
        title="Test message from ilert",
        text=f"This is how an urgent alert reaches {method.user}. Nothing is wrong.",
        urgent=True,
        link=Link("Open ilert", absolute("/")),
        data={"test": True},
    )


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{ceil(seconds / 60)} min"


@transaction.atomic
def _claim_test(method: ContactMethod, now: datetime) -> int:
    """Take the right to send a test now, or return how many seconds it is until then."""
    # Whoever presses at the same moment waits here, and then finds that this one was first.
    User.objects.select_for_update(no_key=True).get(pk=method.user_id)
    recent = ContactMethod.objects.filter(user=method.user_id, last_test_at__gt=now - TEST_PAUSE)
    moments = {tested.pk: tested.last_test_at for tested in recent if tested.last_test_at}
    earliest = [moments[method.pk]] if method.pk in moments else []
    if len(moments) >= TESTS_AT_ONCE:
        earliest.append(min(moments.values()))
    if earliest:
        return ceil((max(earliest) + TEST_PAUSE - now).total_seconds())
    if method.verified_at is None and (seconds := verification.wait(method.user_id, now)):
        return seconds
    ContactMethod.objects.filter(pk=method.pk).update(last_test_at=now)
    return 0


def warnings_for(user: User, now: datetime) -> list[ReachWarning]:
    """Return what keeps `user` from being reached, the worst first."""
    muted = ReachWarning("danger", "Muted", "Incidents do not reach you, and whoever is next is asked instead.")
    return ([muted] if user.is_muted(now) else []) + _obstacles(user, now)


def _obstacles(user: User, now: datetime) -> list[ReachWarning]:
    methods = list(ContactMethod.objects.filter(user=user))
    if not methods:
        return [
            ReachWarning("danger", "Nothing can reach you", "Add a way below, or nobody can tell you about incidents.")
        ]
    verified = [method for method in methods if method.verified_at]
    if not verified:
        return [
            ReachWarning(
                "danger", "Nothing reaches you yet", "Confirm a contact method below with the code sent to it."
            )
        ]
    working = [method for method in verified if not method.channel_type.obstacle()]
    if not working:
        return [
            ReachWarning("danger", "Nothing reaches you yet", "No contact method of yours works now. Add another one.")
        ]
    used = set(NotificationRule.objects.filter(contact_method__in=working).values_list("priority", flat=True))
    failed = _failing(working, now)
    found = [
        ReachWarning(
            "danger", f"{priority.label}-priority incidents do not reach you", "No contact method is used for them."
        )
        for priority in Priority
        if priority not in used
    ]
    found += [
        ReachWarning("danger", f"{method} is not confirmed", "Until then no incident is told there.")
        for method in methods
        if method.verified_at is None
    ]
    found += [
        ReachWarning("danger", f"The last messages to {method} failed", failed[method.pk])
        for method in working
        if method.pk in failed
    ]
    if not any(method.channel_type.wakes for method in working):
        found.append(
            ReachWarning(
                "warning", "This may not wake you", "Add an app that rings, and allow it to break through silence."
            )
        )
    return found


def _failing(methods: list[ContactMethod], now: datetime) -> dict[int, str]:
    """Return what the provider said, of each method whose newest messages (up to three of a week) all failed."""
    found = {}
    for method in methods:
        recent = Notification.objects.filter(
            contact_method=method, first_attempt_at__gt=now - FAILED_WITHIN, carrier=None
        )
        newest = list(recent.order_by("-first_attempt_at").values_list("state", "answer")[:3])
        if newest and all(state == Notification.State.FAILED for state, _ in newest):
            found[method.pk] = newest[0][1]
    return found


def unreachable(now: datetime) -> list[tuple[User, list[ReachWarning]]]:
    """Return the people of escalation policies whom something cannot reach, with what it is."""
    people = User.objects.askable().filter(escalation_rules__isnull=False).distinct()
    found = [(person, [one for one in warnings_for(person, now) if one.tone == "danger"]) for person in people]
    return sorted(((person, what) for person, what in found if what), key=lambda pair: str(pair[0]).lower())


def methods_for(user: User, priority: str) -> list[NotificationRule]:
    """Return how `user` is reached about an incident of `priority`: rules with their method, the soonest first."""
    return list(
        NotificationRule.objects.usable()
        .filter(user=user, priority=priority)
        .select_related("contact_method", "contact_method__user")
        .order_by("delay_minutes", "pk")
    )

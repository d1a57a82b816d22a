"""What people say about when they are left alone. Colleagues see it, and escalation goes by it."""

from datetime import datetime, time

from accounts import audit
from accounts.models import User
from notifications import outbox
from notifications.models import Notification


def set_quiet_hours(user: User, start: time | None, end: time | None, days: str) -> None:
    """Let low-priority messages to `user` wait from `start` to `end`; without both, let none wait."""
    with audit.changing(user, "changed quiet hours of"):
        user.quiet_from, user.quiet_to, user.quiet_days = start, end, days
        user.save(update_fields=["quiet_from", "quiet_to", "quiet_days"])


def mute(user: User, until: datetime, now: datetime) -> None:
    """Treat `user` as somebody who cannot be reached until then, and send nothing of what waits."""
    with audit.changing(user, "muted"):
        user.muted_until = until
        user.save(update_fields=["muted_until"])
        waiting = Notification.objects.filter(user=user, notice=False)
        outbox.cancel(waiting, f"{user} muted ilert before it was due.", now)


def unmute(user: User) -> None:
    with audit.changing(user, "unmuted"):
        user.muted_until = None
        user.save(update_fields=["muted_until"])

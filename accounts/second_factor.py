"""How often codes of an account may be tried: six digits are soon guessed where only addresses are counted."""

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import Form

from accounts import audit
from accounts.models import AuditEntry, User
from ilert.common.clock import database_now

TRIES = 5
WITHIN = timedelta(minutes=5)


def too_many_wrong_codes(user: User, now: datetime) -> bool:
    """Whether `user` has to wait. Only who has their password gets so far, so that nobody else can make them wait."""
    wrong = AuditEntry.objects.filter(
        object_type=User._meta.verbose_name, object_id=user.pk, verb=audit.WRONG_CODE, at__gt=now - WITHIN
    )
    return wrong.count() >= TRIES


class LimitedCodes(Form):
    """For forms that ask `user` for a code. The log of wrong ones is what is counted: all processes share it."""

    user: User

    def clean_code(self) -> Any:
        with transaction.atomic():
            # Codes that are tried at the same moment wait for each other, or each would find the same count.
            User.objects.select_for_update(no_key=True).get(pk=self.user.pk)
            if too_many_wrong_codes(self.user, database_now()):
                raise ValidationError("Too many wrong codes. Wait five minutes, then try again.", code="too_many_codes")
            try:
                return super().clean_code()  # type: ignore[misc]
            except ValidationError as error:
                refused = error  # raised outside, as the log of it must stay
        raise refused

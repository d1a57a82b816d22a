"""What happens here when something happens on a floor below."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import email_moved, email_proven
from ilert.common.clock import database_now
from notifications import services


@receiver(post_save, sender=User)
def make_reachable(instance: User, created: bool, raw: bool, **_: Any) -> None:
    """A new person can be reached by e-mail: at once if the password was given with the address, else once invited."""
    if created and not raw:
        verified_at = database_now() if instance.has_usable_password() else None
        services.create_contact_method(instance, "email", instance.email, verified_at=verified_at)


@receiver(email_proven)
def confirm_email(person: User, **_: Any) -> None:
    services.confirm_email(person, database_now())


@receiver(email_moved)
def move_email(person: User, old_email: str, **_: Any) -> None:
    services.move_email_methods(person, old_email, database_now())

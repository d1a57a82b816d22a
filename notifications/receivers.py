"""What happens here when something happens on a floor below."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts.models import User
from notifications import services


@receiver(post_save, sender=User)
def make_reachable(instance: User, created: bool, raw: bool, **_: Any) -> None:
    """A new person can be reached at once, by e-mail."""
    if created and not raw:
        services.create_contact_method(instance, "email", instance.email)

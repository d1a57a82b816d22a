"""What can be done with people."""

import secrets

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.models import Role, User


@transaction.atomic
def ensure_first_admin() -> tuple[str, str | None]:
    """Create the first admin unless somebody can sign in as one already.

    Returns (e-mail address, password). The password is only given when it was made up here, since then nobody else
    knows it; it is stored nowhere in clear.
    """
    existing = User.objects.filter(role=Role.ADMIN, is_active=True).order_by("pk").first()
    if existing:
        return existing.email, None
    generated = None if settings.ILERT_ADMIN_PASSWORD else secrets.token_urlsafe(12)
    user = User.objects.create_superuser(
        settings.ILERT_ADMIN_EMAIL, generated or settings.ILERT_ADMIN_PASSWORD, name="Admin"
    )
    audit.created(user)
    return user.email, generated

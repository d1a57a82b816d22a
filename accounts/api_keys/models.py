"""The table of REST keys."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class ApiKey(models.Model):
    """What a program of a person says instead of a password. It may do whatever that person may do."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, help_text="Where it is used, so that you know which one to revoke.")
    # The key itself is nowhere: nobody can read it out of the database, or see it twice.
    prefix = models.CharField(max_length=16, editable=False, help_text="How the key begins.")
    key_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"],
                condition=Q(revoked_at=None),
                name="accounts_apikey_name_unique",
                violation_error_message="You have a key of this name. Give another name, or revoke that one.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

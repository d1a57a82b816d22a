"""Who people are."""

import zoneinfo
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.urls import reverse
from django.utils import timezone

from accounts.quiet import EVERY_DAY, QuietHours

M = TypeVar("M", bound=models.Model)


class Role(models.TextChoices):
    ADMIN = "admin", "Admin"
    MEMBER = "member", "Member"
    STAKEHOLDER = "stakeholder", "Stakeholder"


# They may act on incidents; stakeholders only read.
RESPONDERS = (Role.ADMIN, Role.MEMBER)


class Theme(models.TextChoices):
    SYSTEM = "system", "System"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is not a time zone. Use a name such as Europe/Berlin.")


class UserManager(BaseUserManager["User"]):
    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return an address as accounts have it: in lower case throughout, as whoever signs in is looked up so."""
        return super().normalize_email(email).lower()

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)

    def askable(self) -> "models.QuerySet[User]":
        """Return those who can be asked about incidents, as they could accept them."""
        return self.filter(is_active=True, role__in=RESPONDERS)

    def signing_in_admins(self) -> "models.QuerySet[User]":
        """Return the active admins who have a password; one who has only been invited cannot set anything up."""
        admins = self.filter(role=Role.ADMIN, is_active=True)
        return admins.exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, role=Role.ADMIN, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by e-mail address."""

    email = models.EmailField("e-mail address", max_length=254, unique=True)
    name = models.CharField(max_length=150, blank=True)
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    theme = models.CharField(max_length=8, choices=Theme, default=Theme.SYSTEM)
    is_active = models.BooleanField(
        "active", default=True, help_text="Someone who has left is made inactive rather than deleted."
    )
    # In the person's own zone; `accounts.quiet` says what they mean.
    quiet_from = models.TimeField(null=True, blank=True, help_text="Low-priority messages wait from here on.")
    quiet_to = models.TimeField(null=True, blank=True)
    quiet_days = models.CharField(
        max_length=7, default=EVERY_DAY, help_text="Weekdays on which quiet hours begin; 0 is Monday."
    )
    muted_until = models.DateTimeField(null=True, blank=True, help_text="Until then they cannot be reached.")
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    # When they were shut out or let in again last: nothing that they had before works any more.
    access_ended_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        verbose_name = "person"
        verbose_name_plural = "people"
        constraints = [
            models.UniqueConstraint(Lower("email"), name="accounts_user_email_unique"),
            models.CheckConstraint(condition=Q(email=Lower("email")), name="accounts_user_email_lower"),
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_to__isnull=True)
                | Q(quiet_from__isnull=False, quiet_to__isnull=False),
                name="accounts_user_quiet_both_or_none",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def clean(self) -> None:
        super().clean()
        self.email = User.objects.normalize_email(self.email)

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save, and let no address sign in but the present one, whatever a package has noted of earlier ones."""
        super().save(*args, update_fields=update_fields, **options)
        if update_fields is None or "email" in update_fields:
            EmailAddress.objects.filter(user=self).exclude(email=self.email).delete()

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self)

    def get_absolute_url(self) -> str:
        return reverse("person-detail", args=[self.pk])

    @property
    def is_invited(self) -> bool:
        """Whether the invitation has not been taken up yet."""
        return self.is_active and not self.has_usable_password()

    @property
    def access_mark(self) -> str:
        """What goes into whatever lets somebody act as this person, so that it is over when their access is ended.

        Empty until then: what was sent before there was such a mark stays good.
        """
        return format(int(self.access_ended_at.timestamp() * 1_000_000), "x") if self.access_ended_at else ""

    def get_session_auth_hash(self) -> str:
        return super().get_session_auth_hash() + self.access_mark

    def get_session_auth_fallback_hash(self) -> Iterable[str]:
        return (fallback + self.access_mark for fallback in super().get_session_auth_fallback_hash())

    @property
    def quiet_hours(self) -> QuietHours | None:
        """When low-priority messages wait."""
        if self.quiet_from is None or self.quiet_to is None:
            return None
        days = frozenset(int(day) for day in self.quiet_days)
        return QuietHours(self.quiet_from, self.quiet_to, days, zoneinfo.ZoneInfo(self.time_zone))

    def is_muted(self, now: datetime) -> bool:
        """Whether this person wants to be left alone, and counts as somebody who cannot be reached."""
        return self.muted_until is not None and self.muted_until > now

    @property
    def is_admin(self) -> bool:
        """Whether this person sets up sources, policies and people."""
        return self.role == Role.ADMIN

    @property
    def is_responder(self) -> bool:
        """Whether this person may act on incidents."""
        return self.role in RESPONDERS

    @property
    def why_not_asked(self) -> str:
        """Why nobody asks this person about incidents, whoever names them; empty when they can be asked."""
        if not self.is_active:
            return "not active"
        return "" if self.is_responder else "only reads"

    # Django's admin site asks these. Roles say what people may do; Django's permissions and groups are not used.

    @property
    def is_staff(self) -> bool:
        return self.is_admin

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return self.is_active and self.is_admin

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_admin


class Team(models.Model):
    """People who look after alert sources and escalation policies together.

    What has a team is seen by its members and by admins; what has none is everyone's.
    """

    name = models.CharField(max_length=255)
    members = models.ManyToManyField(User, blank=True, related_name="teams")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = [Lower("name")]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="accounts_team_name_unique",
                violation_error_message="Another team has this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("team-detail", args=[self.pk])

    def audit_state(self) -> dict[str, Any]:
        return {"name": self.name, "members": sorted(member.email for member in self.members.all())}


class AuditEntry(models.Model):
    """One change of configuration or rights, or one sign-in. The database refuses to change or delete it."""

    # No constraint: nothing that happens to a person may change what they did.
    actor = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="audit_entries"
    )
    actor_name = models.CharField(max_length=254, blank=True, help_text="Empty: ilert itself, or nobody signed in.")
    at = models.DateTimeField(db_default=Now(), editable=False)
    address = models.CharField(max_length=45, blank=True, help_text="Where the request came from.")
    verb = models.CharField(max_length=32)
    object_type = models.CharField(max_length=32)
    object_id = models.BigIntegerField(null=True)
    object_name = models.CharField(max_length=255, blank=True)
    before = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["actor", "-id"], name="accounts_audit_by_actor"),
            models.Index(fields=["object_type", "object_id", "-id"], name="accounts_audit_by_object"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name or 'ilert'} {self.verb} {self.object_type} {self.object_name}"

    @property
    def changes(self) -> list[tuple[str, Any, Any]]:
        """What was changed, as (name, before, after)."""
        names = [*self.before, *(name for name in self.after if name not in self.before)]
        return [(name.replace("_", " "), self.before.get(name), self.after.get(name)) for name in names]


class TeamOwnedQuerySet(models.QuerySet[M]):
    """Of models with a `team`."""

    def visible_to(self, user: User) -> Self:
        """Return what `user` may see: what is everyone's and what their teams own; admins see all."""
        return self if user.is_admin else self.exclude(self._of_others(user))

    def hidden_from(self, user: User) -> Self:
        """Return what belongs to teams that `user` is not in."""
        return self.none() if user.is_admin else self.filter(self._of_others(user))

    @staticmethod
    def _of_others(user: User) -> Q:
        return Q(team__isnull=False) & ~Q(team__in=user.teams.all())


# What the app registers with Django besides the models above; it needs them.
from accounts.api_keys.models import ApiKey  # noqa: E402, F401

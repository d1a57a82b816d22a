"""How people are reached, and the outbox of messages to them."""

import uuid
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from ilert.common.encrypted import EncryptedTextField
from notifications import channels


class Priority(models.TextChoices):
    HIGH = "high", "High"
    LOW = "low", "Low"


class ContactMethodQuerySet(models.QuerySet["ContactMethod"]):
    def verified(self) -> Self:
        """Those that have been shown to reach their owner: no other is used for incidents."""
        return self.filter(verified_at__isnull=False)


class NotificationRuleQuerySet(models.QuerySet["NotificationRule"]):
    def usable(self) -> Self:
        """Those whose contact method has been shown to reach its owner."""
        return self.filter(contact_method__verified_at__isnull=False)


class ContactMethod(models.Model):
    """An address under which a person can be reached through a channel."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="contact_methods")
    # A callable, so that a new channel needs no migration.
    channel = models.CharField(max_length=16, choices=channels.choices)
    # Encrypted, as a webhook URL or an ntfy topic is all that is needed to read along or to impersonate us.
    address = EncryptedTextField()
    secret = EncryptedTextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    verified_at = models.DateTimeField(
        null=True, help_text="When it was shown to reach its owner; before, no incident is told."
    )
    # So that "Send a test" cannot be used to flood whoever an address belongs to.
    last_test_at = models.DateTimeField(null=True, editable=False)

    objects = ContactMethodQuerySet.as_manager()

    class Meta:
        ordering = ["user", "pk"]

    def __str__(self) -> str:
        return f"{self.channel_type.name}: {self.description}"

    def audit_state(self) -> dict[str, Any]:
        rules = self.rules.order_by("priority", "delay_minutes").values_list("priority", "delay_minutes")
        uses = [f"{priority} after {minutes} min" for priority, minutes in rules]
        return {
            "person": str(self.user),
            "channel": self.channel,
            "address": self.description,
            "confirmed": self.verified_at is not None,
            "used for": uses,
        }

    @property
    def channel_type(self) -> channels.Channel:
        return channels.get(self.channel)

    @property
    def description(self) -> str:
        """The address as colleagues may see it."""
        return self.channel_type.describe(self.address)

    def facts(self) -> list[tuple[str, str]]:
        """What its owner may see of it again, and nobody else."""
        return self.channel_type.facts(self.address, self.secret)


class VerificationCode(models.Model):
    """A code that was sent to a contact method, so that its owner can show to have read it. Never stored in clear."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # Stays when the method goes: removing it and adding it again does not allow more codes.
    contact_method = models.ForeignKey(ContactMethod, on_delete=models.SET_NULL, null=True, related_name="codes")
    digest = models.CharField(max_length=64)
    sent_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-sent_at"]

    def __str__(self) -> str:
        return f"Code for {self.contact_method or 'a contact method that is gone'}"


class NotificationRule(models.Model):
    """How long after a person is asked a contact method of theirs is used, for one priority."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notification_rules")
    contact_method = models.ForeignKey(ContactMethod, on_delete=models.CASCADE, related_name="rules")
    priority = models.CharField(max_length=4, choices=Priority)
    delay_minutes = models.PositiveSmallIntegerField(default=0)

    objects = NotificationRuleQuerySet.as_manager()

    class Meta:
        ordering = ["user", "priority", "delay_minutes", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["contact_method", "priority", "delay_minutes"], name="notifications_rule_unique"
            ),
            models.CheckConstraint(condition=Q(delay_minutes__lte=1440), name="notifications_rule_within_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.get_priority_display()}: {self.contact_method} after {self.delay_minutes} min"


class Provider(models.Model):
    """Who takes the messages of a channel: one server. What all processes know of its health is here.

    Open means that it failed several times in a row: nothing is sent to it until `open_until`. After that one message
    may try (`probing`), and its fate decides.
    """

    name = models.CharField(max_length=300, primary_key=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    open_until = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True, help_text="Since when it is left alone but for tries.")
    pause_seconds = models.PositiveSmallIntegerField(default=0)
    probing = models.BooleanField(default=False)
    answer = models.TextField(blank=True, help_text="What went wrong last.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Notification(models.Model):
    """One message to one contact method, and its fate: a row of the outbox."""

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        SENDING = "sending", "Sending"
        ACCEPTED = "accepted", "Accepted by provider"
        DELIVERED = "delivered", "Delivered"
        # Nobody took it: without a mail server it can only be looked at here.
        SHOWN = "shown", "Only shown here"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Opaque here; whoever plans a message builds it so that planning twice gives one row.
    dedupe_key = models.CharField(max_length=255, editable=False)
    # The person and the method may be gone later; what was sent and where stays readable. Every index is paid for by
    # each message of a storm, so that an index below which begins with the same column is the only one.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="notifications", db_index=False
    )
    user_name = models.CharField(max_length=254)
    contact_method = models.ForeignKey(
        ContactMethod, on_delete=models.SET_NULL, null=True, related_name="notifications"
    )
    # Not checked by the database, as providers are never deleted.
    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    channel = models.CharField(max_length=16)
    target = models.CharField(max_length=254, help_text="The address as colleagues may see it.")
    title = models.TextField()
    text = models.TextField(blank=True)
    urgent = models.BooleanField(default=False)
    notice = models.BooleanField(
        default=False, db_default=False, help_text="Says that something is over and asks for nothing."
    )
    # In a flood one message carries many: they keep their rows, and their fate is the carrier's.
    carrier = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="members", db_index=False)
    member_count = models.PositiveIntegerField(default=0, db_default=0, help_text="How many messages this one carries.")
    state = models.CharField(max_length=16, choices=State, default=State.PLANNED)
    # What the provider answered last, or why nothing was sent.
    answer = models.TextField(blank=True)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    session = models.PositiveIntegerField(
        null=True, help_text="The sender's session with the database. Once it is gone, the sender is dead."
    )
    first_attempt_at = models.DateTimeField(null=True)
    # When the person's next contact method was called in, as this message had not got through.
    passed_on_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True, help_text="When the person acted on it.")

    class Meta:
        ordering = ["created_at"]
        indexes = [
            models.Index(
                fields=["provider", "due_at"],
                condition=Q(state__in=["planned", "sending"], carrier=None),
                name="notifications_due",
            ),
            # How many are being sent to a provider right now.
            models.Index(fields=["provider"], condition=Q(state="sending", carrier=None), name="notifications_sending"),
            # What waits for a contact method, and what has gone out to it lately.
            models.Index(
                fields=["contact_method", "due_at"],
                condition=Q(state="planned", carrier=None),
                name="notifications_waiting",
            ),
            models.Index(
                fields=["contact_method", "first_attempt_at"],
                condition=Q(first_attempt_at__isnull=False, carrier=None),
                name="notifications_lately",
            ),
            # Which have been tried for so long that the next contact method is needed.
            models.Index(
                fields=["first_attempt_at"],
                condition=Q(state__in=["planned", "sending"], passed_on_at=None, carrier=None),
                name="notifications_struggling",
            ),
            models.Index(fields=["carrier"], condition=Q(carrier__isnull=False), name="notifications_members"),
            # Members whose carrier is not done: one that it left behind would be found here, however many there were.
            models.Index(
                fields=["due_at"],
                condition=Q(state__in=["planned", "sending"], carrier__isnull=False),
                name="notifications_carried",
            ),
            models.Index(fields=["user", "-created_at"], name="notifications_by_user"),
        ]
        constraints = [
            # Unique, and found by how it begins, with one index.
            models.UniqueConstraint(
                fields=["dedupe_key"], opclasses=["varchar_pattern_ops"], name="notifications_dedupe_key"
            ),
            # A row is due exactly while something can still happen to it; a lease exists exactly while sending.
            models.CheckConstraint(
                condition=Q(state__in=["planned", "sending"], due_at__isnull=False)
                | Q(state__in=["accepted", "delivered", "shown", "failed", "cancelled"], due_at__isnull=True),
                name="notifications_due_while_open",
            ),
            models.CheckConstraint(
                condition=Q(state="sending", lease_until__isnull=False)
                | (~Q(state="sending") & Q(lease_until__isnull=True)),
                name="notifications_lease_while_sending",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} to {self.user_name}: {self.title}"

    @property
    def channel_name(self) -> str:
        return channels.get(self.channel).name

    @property
    def channel_icon(self) -> str:
        return channels.get(self.channel).icon

    @property
    def is_open(self) -> bool:
        return self.state in (self.State.PLANNED, self.State.SENDING)


class Attempt(models.Model):
    """One try to hand a notification to its provider."""

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    succeeded = models.BooleanField()
    answer = models.TextField(blank=True)

    class Meta:
        ordering = ["notification", "number"]
        constraints = [
            models.CheckConstraint(condition=Q(finished_at__gte=F("started_at")), name="notifications_attempt_times")
        ]

    def __str__(self) -> str:
        return f"Attempt {self.number}: {self.answer}"


class OutboxMail(models.Model):
    """A mail that was shown here instead of being sent, as no mail server is set up."""

    sender = models.TextField()
    recipients = models.TextField()
    subject = models.TextField()
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.subject

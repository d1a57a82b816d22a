"""Messages on the admin site: to look up what was sent to whom, and what the provider answered.

How people are reached is shown as colleagues may see it; they change it themselves.
"""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from notifications.models import (
    Attempt,
    ContactMethod,
    Notification,
    NotificationRule,
    OutboxMail,
    Provider,
    VerificationCode,
)


class AttemptInline(admin.TabularInline[Attempt, Notification]):
    model = Attempt
    extra = 0
    can_delete = False
    fields = readonly_fields = ("number", "started_at", "finished_at", "succeeded", "answer")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ("title", "channel", "user_name", "state", "attempt_count", "created_at", "finished_at", "answer")
    list_filter = ("state", "channel")
    search_fields = ("title", "user_name", "answer")
    date_hierarchy = "created_at"
    exclude = ("contact_method",)
    inlines = (AttemptInline,)


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ("notification", "number", "succeeded", "started_at", "finished_at", "answer")
    list_filter = ("succeeded",)
    list_select_related = ("notification",)
    search_fields = ("answer", "notification__title", "notification__user_name")
    date_hierarchy = "started_at"


@admin.register(ContactMethod)
class ContactMethodAdmin(ReadOnlyAdmin):
    list_display = ("user", "channel", "described", "verified_at", "created_at")
    list_filter = ("channel", ("verified_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("user__email", "user__name")
    exclude = ("address", "secret")
    readonly_fields = ("described",)

    @admin.display(description="address")
    def described(self, method: ContactMethod) -> str:
        return method.description


@admin.register(NotificationRule)
class NotificationRuleAdmin(ReadOnlyAdmin):
    list_display = ("user", "priority", "delay_minutes", "contact_method")
    list_filter = ("priority", "contact_method__channel")
    list_select_related = ("user", "contact_method")
    search_fields = ("user__email", "user__name")


@admin.register(VerificationCode)
class VerificationCodeAdmin(ReadOnlyAdmin):
    list_display = ("user", "contact_method", "sent_at", "tries")
    list_select_related = ("user", "contact_method__user")
    search_fields = ("user__email", "user__name")
    date_hierarchy = "sent_at"
    exclude = ("digest",)


@admin.register(Provider)
class ProviderAdmin(ReadOnlyAdmin):
    list_display = ("name", "failures", "open_until", "probing", "answer")
    list_filter = ("probing", ("open_until", admin.EmptyFieldListFilter))
    search_fields = ("name", "answer")


@admin.register(OutboxMail)
class OutboxMailAdmin(ReadOnlyAdmin):
    """The page of the outbox shows the mails themselves."""

    list_display = ("subject", "recipients", "sender", "created_at")
    search_fields = ("subject", "recipients")
    date_hierarchy = "created_at"
    exclude = ("headers",)

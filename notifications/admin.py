"""Messages on the admin site: to look up what was sent to whom, and what the provider answered."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from notifications.models import Attempt, Notification


class AttemptInline(admin.TabularInline[Attempt, Notification]):
    model = Attempt
    extra = 0
    can_delete = False
    fields = readonly_fields = ("number", "started_at", "finished_at", "succeeded", "answer")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Notification)
class NotificationAdmin(admin.ModelAdmin[Notification]):
    list_display = ("title", "channel", "user_name", "state", "attempt_count", "created_at", "finished_at", "answer")
    list_filter = ("state", "channel")
    search_fields = ("title", "user_name", "answer")
    date_hierarchy = "created_at"
    show_full_result_count = False
    exclude = ("contact_method",)
    inlines = (AttemptInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

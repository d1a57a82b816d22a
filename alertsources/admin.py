"""Alert sources on Django's admin site. Their keys are shown on their own pages only."""

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import AuditedAdmin
from alertsources.models import AlertSource


@admin.register(AlertSource)
class AlertSourceAdmin(AuditedAdmin):
    list_display = ("name", "integration_type", "escalation_policy", "team", "active", "created_at")
    list_filter = ("integration_type", "active", "team", "escalation_policy")
    list_select_related = ("escalation_policy", "team")
    search_fields = ("name",)
    fields = (
        "name",
        "integration_type",
        "escalation_policy",
        "team",
        "priority",
        "auto_resolution_minutes",
        "grouping",
        "active",
        "created_at",
    )
    # A key says which kind of tool it is for, so the kind stays as it is.
    readonly_fields = ("integration_type", "created_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The product's own page makes the key."""
        return False

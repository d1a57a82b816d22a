"""Escalation policies on Django's admin site."""

from django.contrib import admin

from accounts.admin import AuditedAdmin
from oncall.models import EscalationPolicy, EscalationRule


class RuleInline(admin.TabularInline[EscalationRule, EscalationPolicy]):
    model = EscalationRule
    extra = 0
    autocomplete_fields = ("users",)
    ordering = ("position",)


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(AuditedAdmin):
    list_display = ("name", "repeating", "frequency", "created_at")
    list_filter = ("repeating",)
    search_fields = ("name", "rules__users__email", "rules__users__name")
    readonly_fields = ("created_at",)
    inlines = (RuleInline,)

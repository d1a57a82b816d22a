"""Escalation policies on Django's admin site."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import AuditedAdmin, ReadOnlyAdmin
from oncall.models import EscalationPolicy, EscalationRule


class RuleInline(admin.TabularInline[EscalationRule, EscalationPolicy]):
    model = EscalationRule
    extra = 0
    autocomplete_fields = ("users",)
    ordering = ("position",)


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(AuditedAdmin):
    list_display = ("name", "team", "delay_minutes", "repeating", "frequency", "created_at")
    list_filter = ("repeating", "team")
    list_select_related = ("team",)
    search_fields = ("name", "rules__users__email", "rules__users__name")
    readonly_fields = ("created_at",)
    inlines = (RuleInline,)


@admin.register(EscalationRule)
class EscalationRuleAdmin(ReadOnlyAdmin):
    """To find who is named where; rules are changed with their policy."""

    list_display = ("policy", "position", "escalation_timeout", "people")
    list_filter = ("policy",)
    list_select_related = ("policy",)
    search_fields = ("policy__name", "users__email", "users__name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[EscalationRule]:
        return super().get_queryset(request).prefetch_related("users")

    @admin.display(description="who is asked")
    def people(self, rule: EscalationRule) -> str:
        return ", ".join(sorted(str(user) for user in rule.users.all()))

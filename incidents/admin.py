"""Incidents, events and timelines on the admin site: to look things up. What has happened cannot be changed there."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.text import Truncator

from incidents.models import Event, Incident, LogEntry


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Columns, filters and search, and nothing to press."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    list_display = ("id", "status", "priority", "summary", "alert_source", "responder", "event_count", "reported_at")
    list_filter = ("status", "priority", "alert_source")
    search_fields = ("=id", "summary", "incident_key")
    date_hierarchy = "reported_at"
    list_select_related = ("alert_source", "responder")
    exclude = ("key_hash", "scope_hash")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("id", "outcome", "type", "summary", "alert_source", "incident", "received_at")
    list_filter = ("outcome", "type", "alert_source")
    search_fields = ("=id", "summary", "incident_key", "reason")
    date_hierarchy = "received_at"
    list_select_related = ("alert_source", "incident")
    exclude = ("body",)
    readonly_fields = ("raw_body",)

    @admin.display(description="body")
    def raw_body(self, event: Event) -> str:
        return Truncator(bytes(event.body or b"").decode("utf-8", "replace")).chars(20_000)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    list_display = ("id", "kind", "incident", "actor_name", "notification", "created_at")
    list_filter = ("kind",)
    search_fields = ("=incident__id", "actor_name")
    list_select_related = ("incident", "notification")

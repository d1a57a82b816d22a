"""Incidents, events and timelines on the admin site: to look things up. What has happened cannot be changed there."""

from django.contrib import admin
from django.utils.text import Truncator

from accounts.admin import ReadOnlyAdmin
from incidents.models import Event, FailedRequest, Flood, Incident, LogEntry, Retention, SearchEntry
from incidents.watch.models import Audit, Finding, Pulse, Tally


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


@admin.register(FailedRequest)
class FailedRequestAdmin(ReadOnlyAdmin):
    list_display = ("request_id", "alert_source", "fault", "attempts", "received_at", "next_attempt_at")
    list_filter = ("alert_source",)
    list_select_related = ("alert_source",)
    search_fields = ("fault", "alert_source__name")
    raw_id_fields = ("first_event",)


@admin.register(Flood)
class FloodAdmin(ReadOnlyAdmin):
    list_display = ("alert_source", "since", "last_at", "events_per_second", "refused")
    list_filter = ("last_at",)
    list_select_related = ("alert_source",)
    search_fields = ("alert_source__name",)


@admin.register(SearchEntry)
class SearchEntryAdmin(ReadOnlyAdmin):
    list_display = ("incident_id", "summary")
    list_select_related = ("incident",)
    search_fields = ("=incident__id", "incident__summary")
    exclude = ("document",)

    @admin.display(description="summary")
    def summary(self, row: SearchEntry) -> str:
        return Truncator(row.incident.summary).chars(120)


@admin.register(Retention)
class RetentionAdmin(ReadOnlyAdmin):
    list_display = ("id", "due_at", "started_at", "finished_at", "removed")


@admin.register(Pulse)
class PulseAdmin(ReadOnlyAdmin):
    list_display = ("role", "host", "pid", "version", "started_at", "last_seen_at", "did")
    list_filter = ("role", "host", "version")
    search_fields = ("host", "=pid", "did")


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ("kind", "subject", "title", "grave", "opened_at", "closed_at", "told_at")
    list_filter = ("kind", "grave", ("closed_at", admin.EmptyFieldListFilter))
    search_fields = ("kind", "subject", "title", "text")
    date_hierarchy = "opened_at"


@admin.register(Audit)
class AuditAdmin(ReadOnlyAdmin):
    list_display = ("id", "started_at", "finished_at", "milliseconds", "heartbeat_at", "heartbeat_answer")


@admin.register(Tally)
class TallyAdmin(ReadOnlyAdmin):
    list_display = ("name", "label", "total")
    list_filter = ("name",)
    search_fields = ("name", "label")

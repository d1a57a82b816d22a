from django.urls import path, re_path

from incidents.intake.api import EventsView, unknown_path
from incidents.views import deeds, failed, health, links, listing, metrics, pages, sources, system

urlpatterns = [
    path("incidents/", listing.incident_list, name="incident-list"),
    path("incidents/rows", listing.incident_rows, name="incident-rows"),
    path("incidents/stream", listing.incident_stream, name="incident-stream"),
    path("incidents/bulk", listing.incident_bulk, name="incident-bulk"),
    path("incidents/export.csv", listing.incident_export, name="incident-export"),
    path("incidents/<int:pk>/", pages.incident_detail, name="incident-detail"),
    path("incidents/<int:pk>/stream", pages.incident_stream, name="incident-detail-stream"),
    path("incidents/<int:pk>/timeline.md", pages.incident_export, name="incident-timeline"),
    path("incidents/new", deeds.incident_new, name="incident-new"),
    path("incidents/<int:pk>/accept", deeds.incident_accept, name="incident-accept"),
    path("incidents/<int:pk>/resolve", deeds.incident_resolve, name="incident-resolve"),
    path("incidents/<int:pk>/reopen", deeds.incident_reopen, name="incident-reopen"),
    path("incidents/<int:pk>/escalate", deeds.incident_escalate, name="incident-escalate"),
    path("incidents/<int:pk>/assign", deeds.incident_assign, name="incident-assign"),
    path("incidents/<int:pk>/snooze", deeds.incident_snooze, name="incident-snooze"),
    path("incidents/<int:pk>/raise", deeds.incident_raise, name="incident-raise"),
    path("incidents/<int:pk>/merge", deeds.incident_merge, name="incident-merge"),
    path("incidents/<int:pk>/comment", deeds.incident_comment, name="incident-comment"),
    # Short, as it travels in messages.
    path("i/<str:token>", links.incident_link, name="incident-link"),
    path("i/<str:token>/accept", links.incident_link_accept, name="incident-link-accept"),
    # Fragments on the pages of alertsources.
    path("alert-sources/states", sources.source_states, name="source-states"),
    path("alert-sources/<int:pk>/activity", sources.source_activity, name="source-activity"),
    path("alert-sources/<int:pk>/events", sources.source_events, name="source-events"),
    path("alert-sources/<int:pk>/events/<int:event_pk>", sources.source_event, name="source-event"),
    path("alert-sources/<int:pk>/test", sources.source_test, name="source-test"),
    path("system", system.system, name="system"),
    path("metrics", metrics.metrics, name="metrics"),
    path("failed-events/", failed.failed_requests, name="failed-requests"),
    path("failed-events/process", failed.process_all, name="failed-process-all"),
    path("failed-events/<uuid:pk>/process", failed.process, name="failed-process"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    re_path(r"^api/(?:v1/)?events/?$", EventsView.as_view(), name="events-api"),
    re_path(r"^api/(?:v1/)?events/(?P<integration>[^/]+)/(?P<key>[^/]+)/?$", EventsView.as_view(), name="events"),
    re_path(r"^api/", unknown_path, name="api-unknown"),
]

from django.urls import path, re_path

from incidents.intake.api import EventsView, unknown_path
from incidents.views import health, links, listing, metrics, pages, sources, system

urlpatterns = [
    path("incidents/", listing.incident_list, name="incident-list"),
    path("incidents/rows", listing.incident_rows, name="incident-rows"),
    path("incidents/stream", listing.incident_stream, name="incident-stream"),
    path("incidents/bulk", listing.incident_bulk, name="incident-bulk"),
    path("incidents/export.csv", listing.incident_export, name="incident-export"),
    path("incidents/<int:pk>/", pages.incident_detail, name="incident-detail"),
    path("incidents/<int:pk>/accept", pages.incident_accept, name="incident-accept"),
    path("incidents/<int:pk>/resolve", pages.incident_resolve, name="incident-resolve"),
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
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    re_path(r"^api/(?:v1/)?events/?$", EventsView.as_view(), name="events-api"),
    re_path(r"^api/(?:v1/)?events/(?P<integration>[^/]+)/(?P<key>[^/]+)/?$", EventsView.as_view(), name="events"),
    re_path(r"^api/", unknown_path),
]

"""Where the resources of the REST API are. Events have doors of their own, see incidents/urls.py."""

from django.urls import path

from accounts.api import UserViews
from alertsources.api import AlertSourceViews
from incidents.api import IncidentViews, NotificationViews
from oncall.api import OnCallViews, PolicyViews

MANY = {"get": "list", "post": "create"}
ONE = {"get": "retrieve", "put": "update", "delete": "destroy"}

urlpatterns = [
    path("alert-sources", AlertSourceViews.as_view({**MANY}), name="rest-alert-sources"),
    path("alert-sources/<int:pk>", AlertSourceViews.as_view({**ONE}), name="rest-alert-source"),
    path("escalation-policies", PolicyViews.as_view({**MANY}), name="rest-policies"),
    path("escalation-policies/<int:pk>", PolicyViews.as_view({**ONE}), name="rest-policy"),
    path("incidents", IncidentViews.as_view({**MANY}), name="rest-incidents"),
    path("incidents/<int:pk>", IncidentViews.as_view({"get": "retrieve"}), name="rest-incident"),
    *(
        path(f"incidents/<int:pk>/{deed}", IncidentViews.as_view({"put": deed}), name=f"rest-incident-{deed}")
        for deed in ("accept", "resolve", "escalate", "assign")
    ),
    path("incidents/<int:pk>/comments", IncidentViews.as_view({"post": "comment"}), name="rest-incident-comments"),
    path(
        "incidents/<int:pk>/log-entries", IncidentViews.as_view({"get": "timeline"}), name="rest-incident-log-entries"
    ),
    path(
        "incidents/<int:pk>/notifications",
        NotificationViews.as_view({"get": "list"}),
        name="rest-incident-notifications",
    ),
    path("on-calls", OnCallViews.as_view({"get": "list"}), name="rest-on-calls"),
    path("users", UserViews.as_view({**MANY}), name="rest-users"),
    path("users/current", UserViews.as_view({"get": "current"}), name="rest-users-current"),
    path("users/<int:pk>", UserViews.as_view({"get": "retrieve"}), name="rest-user"),
]

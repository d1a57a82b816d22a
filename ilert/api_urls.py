"""Where the resources of the REST API are. Events have doors of their own, see incidents/urls.py."""

from django.urls import path

from accounts.api import UserViews

urlpatterns = [
    path("users", UserViews.as_view({"get": "list"}), name="rest-users"),
    path("users/current", UserViews.as_view({"get": "current"}), name="rest-users-current"),
    path("users/<int:pk>", UserViews.as_view({"get": "retrieve"}), name="rest-user"),
]

"""Pages of alert sources."""

from django.urls import path

from alertsources import views

urlpatterns = [
    path("alert-sources/", views.source_list, name="source-list"),
    path("alert-sources/new", views.source_gallery, name="source-create"),
    path("alert-sources/new/<slug:slug>", views.source_create, name="source-create-of"),
    path("alert-sources/<int:pk>/", views.source_detail, name="source-detail"),
    path("alert-sources/<int:pk>/edit", views.source_edit, name="source-edit"),
    path("alert-sources/<int:pk>/active", views.source_set_active, name="source-set-active"),
    path("alert-sources/<int:pk>/rotate-key", views.source_rotate_key, name="source-rotate-key"),
    path("alert-sources/<int:pk>/revoke-key", views.source_revoke_key, name="source-revoke-key"),
    path("alert-sources/<int:pk>/delete", views.source_delete, name="source-delete"),
]

"""Pages of escalation policies."""

from django.urls import path

from oncall import views

urlpatterns = [
    path("escalation-policies/", views.policy_list, name="policy-list"),
    path("escalation-policies/new", views.policy_create, name="policy-create"),
    path("escalation-policies/<int:pk>/", views.policy_detail, name="policy-detail"),
    path("escalation-policies/<int:pk>/edit", views.policy_edit, name="policy-edit"),
    path("escalation-policies/<int:pk>/delete", views.policy_delete, name="policy-delete"),
]

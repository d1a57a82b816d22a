"""Pages of people, teams and the audit log."""

from django.urls import path

from accounts.views import audit

urlpatterns = [
    path("audit-log", audit.audit_log, name="audit-log"),
]

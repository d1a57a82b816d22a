"""Pages of people, teams, keys and the audit log."""

from django.urls import path

from accounts.api_keys.views import api_key_revoke, api_keys
from accounts.views import audit, people, sessions, teams

urlpatterns = [
    path("people/", people.people, name="people"),
    path("people/invite", people.person_invite, name="person-invite"),
    path("people/<int:pk>/", people.person_detail, name="person-detail"),
    path("people/<int:pk>/edit", people.person_edit, name="person-edit"),
    path("people/<int:pk>/active", people.person_set_active, name="person-set-active"),
    path("people/<int:pk>/invite", people.person_invite_again, name="person-invite-again"),
    path("invitation/<str:token>", people.invitation, name="invitation"),
    path("teams/new", teams.team_create, name="team-create"),
    path("teams/<int:pk>/", teams.team_detail, name="team-detail"),
    path("teams/<int:pk>/edit", teams.team_edit, name="team-edit"),
    path("teams/<int:pk>/delete", teams.team_delete, name="team-delete"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/end", sessions.end, name="sessions-end"),
    path("audit-log", audit.audit_log, name="audit-log"),
    path("profile/api-keys", api_keys, name="api-keys"),
    path("profile/api-keys/<int:pk>/revoke", api_key_revoke, name="api-key-revoke"),
]

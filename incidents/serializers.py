"""REST: how incidents and what happens to them are written down."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.access import viewer
from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.rest.serializers import IdField, RefSerializer, Strict, WordField
from incidents.engine import run as runs
from incidents.lifecycle import MAX_COMMENT, MAX_DETAILS, MAX_SUMMARY
from incidents.models import Incident, Priority, Status
from incidents.timeline import Item
from notifications.models import Notification

STATES = {state.name: state.value for state in Status}


class ResponderSerializer(Strict):
    """Somebody who is asked, or who has accepted."""

    user = RefSerializer()
    status = serializers.ChoiceField(choices=["PENDING", "ACCEPTED"])
    acceptedAt = serializers.DateTimeField(allow_null=True)


class IncidentSerializer(Strict):
    """A problem that somebody has to look at."""

    # The context has `people`: those whom the shown incidents ask, by id.

    id = IdField(read_only=True)
    summary = serializers.CharField(max_length=MAX_SUMMARY)
    details = serializers.CharField(max_length=MAX_DETAILS, allow_blank=True, default="")
    status = serializers.SerializerMethodField()
    priority = WordField(Priority.choices, default=Priority.HIGH)
    incidentKey = serializers.CharField(source="incident_key", read_only=True)
    alertSource = RefSerializer(source="alert_source")
    escalationPolicy = RefSerializer(source="escalation_policy", read_only=True, allow_null=True)
    reportTime = serializers.DateTimeField(source="reported_at", read_only=True)
    resolvedOn = serializers.DateTimeField(source="resolved_at", read_only=True, allow_null=True)
    nextEscalation = serializers.DateTimeField(source="next_escalation_at", read_only=True, allow_null=True)
    eventCount = serializers.IntegerField(source="event_count", read_only=True)
    responders = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ChoiceField(choices=list(STATES)))
    def get_status(self, incident: Incident) -> str:
        return Status(incident.status).name

    @extend_schema_field(ResponderSerializer(many=True))
    def get_responders(self, incident: Incident) -> Any:
        return ResponderSerializer(_responders(incident, self.context["people"]), many=True).data

    def validate_alertSource(self, source: dict[str, int]) -> AlertSource:
        visible = AlertSource.objects.visible_to(viewer(self.context["request"]))
        found = visible.defer("integration_key").filter(pk=source["id"]).first()
        if found is None:
            raise serializers.ValidationError({"id": ["There is no such alert source."]})
        return found


def asked(incident: Incident) -> tuple[int, ...]:
    """Return the ids of those whom a pending incident asks now."""
    level = runs.current(incident.run) if incident.run and incident.status == Status.PENDING else None
    return level[1] if level else ()


def _responders(incident: Incident, people: dict[int, User]) -> list[dict[str, Any]]:
    if incident.status != Status.PENDING and incident.responder:
        return [{"user": incident.responder, "status": "ACCEPTED", "acceptedAt": incident.accepted_at}]
    return [
        {"user": people[user_id], "status": "PENDING", "acceptedAt": None}
        for user_id in asked(incident)
        if user_id in people
    ]


class CommentSerializer(Strict):
    content = serializers.CharField(max_length=MAX_COMMENT, help_text="Markdown.")


class LogEntrySerializer(Strict):
    """One line of a timeline: an event, a step of the escalation, a message, or what somebody did."""

    id = IdField()
    timestamp = serializers.DateTimeField(source="at")
    type = serializers.CharField(source="kind", help_text="Such as event.opened, level.asked, notified, accepted.")
    text = serializers.CharField(source="sentence")
    actor = serializers.CharField()
    detail = serializers.CharField()
    notification = serializers.SerializerMethodField(help_text="The id of the message this is about.")

    def get_notification(self, item: Item) -> str | None:
        return str(item.notification.pk) if item.notification else None


class NotificationSerializer(Strict):
    """A message to one contact method of one person, and its fate."""

    id = serializers.UUIDField()
    user = RefSerializer(allow_null=True)
    userName = serializers.CharField(source="user_name", help_text="As it was then; the person may be gone.")
    method = serializers.SerializerMethodField(help_text="The channel, such as EMAIL.")
    target = serializers.CharField(help_text="The address as colleagues may see it.")
    status = WordField(Notification.State.choices, source="state")
    answer = serializers.CharField(help_text="What the provider said last, or why nothing was sent.")
    attempts = serializers.IntegerField(source="attempt_count")
    createdAt = serializers.DateTimeField(source="created_at")
    dueAt = serializers.DateTimeField(source="due_at", allow_null=True)
    finishedAt = serializers.DateTimeField(source="finished_at", allow_null=True)
    answeredAt = serializers.DateTimeField(source="answered_at", allow_null=True)

    def get_method(self, notification: Notification) -> str:
        return notification.channel.upper()

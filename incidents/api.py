"""REST: incidents. The same verbs as on the pages; `Refused` is 400, and 409 says who was first."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.access import viewer
from accounts.models import User
from ilert.common.clock import database_now
from ilert.common.links import absolute
from ilert.common.rest.errors import Conflict
from ilert.common.rest.paging import CURSOR, MAX_RESULTS, MAX_START, listed, next_link, whole
from ilert.common.text import MAX_ID, number
from incidents import lifecycle, services, timeline
from incidents.lifecycle import Refused, Report
from incidents.models import Incident, LogEntry, Status
from incidents.serializers import (
    STATES,
    CommentSerializer,
    IncidentSerializer,
    LogEntrySerializer,
    NotificationSerializer,
    asked,
)
from incidents.services import Result
from oncall.models import EscalationPolicy

# A key that is not shown is not decrypted either.
SOURCE_KEY = "alert_source__integration_key"


_FILTERS = [
    OpenApiParameter("states", {"type": "string"}, description="Such as PENDING, or PENDING,ACCEPTED. Repeatable."),
    OpenApiParameter("alert-source", int, description="The id of an alert source. Repeatable."),
]
_PAGES = [
    OpenApiParameter("max-results", int, description="How many at most: 50, or up to 100."),
    OpenApiParameter("start-index", int, description="How many to leave out first: up to 10 000."),
    OpenApiParameter(
        CURSOR, int, description="Where the next page begins, as the Link header of the page before says."
    ),
]
_TO = [
    OpenApiParameter("user-id", int, description="The id of a person."),
    OpenApiParameter("policy-id", int, description="The id of an escalation policy."),
]


@extend_schema_view(list=extend_schema(parameters=_FILTERS))
class IncidentViews(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Incident]):
    """Incidents, the newest first, and what can be done with them."""

    serializer_class = IncidentSerializer

    def get_queryset(self) -> QuerySet[Incident]:
        related = ("alert_source", "escalation_policy", "responder")
        return Incident.objects.visible_to(viewer(self.request)).select_related(*related).defer(SOURCE_KEY)

    def filter_queryset(self, queryset: Any) -> Any:
        if states := _words(self.request, "states", STATES):
            queryset = queryset.filter(status__in=states)
        if sources := _ids(self.request, "alert-source"):
            queryset = queryset.filter(alert_source__in=sources)
        return queryset

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(self._written(page))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self._written([self._incident(kwargs["pk"])])[0])

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Open an incident that no tool has reported. It follows the policy of the alert source it is filed under."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        report = Report(data["alert_source"], data["summary"], data["details"], data["priority"])
        try:
            incident = lifecycle.open_by_hand(report, viewer(request), database_now())
        except Refused as refused:
            raise ValidationError(str(refused)) from None
        where = absolute(reverse("rest-incident", args=[incident.pk]))
        return Response(self._written([self._incident(incident.pk)])[0], status=201, headers={"Location": where})

    @extend_schema(request=None, responses=IncidentSerializer)
    def accept(self, request: Request, pk: int) -> Response:
        """Take the incident on: nobody else is asked any more."""
        return self._answer(services.accept(pk, viewer(request), database_now()), Status.ACCEPTED)

    @extend_schema(request=None, responses=IncidentSerializer)
    def resolve(self, request: Request, pk: int) -> Response:
        """The problem is over."""
        return self._answer(services.resolve(pk, viewer(request), database_now()), Status.RESOLVED)

    @extend_schema(request=None, responses=IncidentSerializer)
    def escalate(self, request: Request, pk: int) -> Response:
        """Ask the next level now."""
        return self._answer(lifecycle.escalate(pk, viewer(request), database_now()))

    @extend_schema(request=None, responses=IncidentSerializer, parameters=_TO)
    def assign(self, request: Request, pk: int) -> Response:
        """Ask somebody else (`user-id`), or along another policy (`policy-id`)."""
        by, now = viewer(request), database_now()
        user_id, policy_id = (whole(request, name, 0, least=1, most=MAX_ID) for name in ("user-id", "policy-id"))
        if bool(user_id) == bool(policy_id):
            raise ValidationError({"user-id": ["Give either user-id or policy-id."]})
        try:
            if user_id:
                return self._answer(lifecycle.assign_person(pk, _user(user_id), by, now))
            return self._answer(lifecycle.assign_policy(pk, _policy(policy_id, by), by, now))
        except Refused as refused:
            raise ValidationError({"user-id" if user_id else "policy-id": [str(refused)]}) from None

    @extend_schema(request=CommentSerializer, responses={201: CommentSerializer})
    def comment(self, request: Request, pk: int) -> Response:
        """Write something on the timeline."""
        serializer = CommentSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        self._incident(pk)
        try:
            lifecycle.comment(pk, serializer.validated_data["content"], viewer(request), database_now())
        except Refused as refused:
            raise ValidationError({"content": [str(refused)]}) from None
        return Response(serializer.data, status=201)

    @extend_schema(
        responses=LogEntrySerializer(many=True), parameters=_PAGES, operation_id="incidents_log_entries_list"
    )
    def timeline(self, request: Request, pk: int) -> Response:
        """The whole timeline, the newest first: events, steps, messages, deeds."""
        size = whole(request, "max-results", 50, least=1, most=MAX_RESULTS)
        before = whole(request, CURSOR, MAX_ID, least=1, most=MAX_ID)
        start = whole(request, "start-index", 0, least=0, most=MAX_START)
        incident = self._incident(pk)
        before = timeline.past(incident, before, start)
        shown = timeline.section(incident, before=str(before), size=size + 1, viewer=viewer(request))
        items = list(shown.items)
        link = next_link(request, items[size - 1].id) if len(items) > size else ""
        return listed(LogEntrySerializer(items[:size], many=True).data, link)

    def _incident(self, pk: int) -> Incident:
        incident = self.get_queryset().filter(pk=pk).first()
        if incident is None:
            raise Http404(f"There is no incident #{pk}.")
        return incident

    def _answer(self, result: Result, wanted: Status | None = None) -> Response:
        """Return the incident as it is now; 409 when somebody else was first and it is not as it was wanted."""
        incident = result.incident
        mine = incident.status != Status.ACCEPTED or incident.responder_id == viewer(self.request).pk
        if not result.changed and not (incident.status == wanted and mine):
            word = Status(incident.status).name
            raise Conflict(f"INCIDENT_ALREADY_{word}", f"Somebody was first: {services.who_was_first(incident)}")
        return Response(self._written([self._incident(incident.pk)])[0])

    def _written(self, incidents: Iterable[Incident]) -> Any:
        incidents = list(incidents)
        people = User.objects.in_bulk({user_id for incident in incidents for user_id in asked(incident)})
        context = {**self.get_serializer_context(), "people": people}
        return IncidentSerializer(incidents, many=True, context=context).data


class NotificationViews(mixins.ListModelMixin, GenericViewSet[LogEntry]):
    """The messages about an incident, the newest first."""

    serializer_class = NotificationSerializer

    def get_queryset(self) -> QuerySet[LogEntry]:
        incident = Incident.objects.visible_to(viewer(self.request)).filter(pk=self.kwargs["pk"])
        if not incident.exists():
            raise Http404(f"There is no incident #{self.kwargs['pk']}.")
        entries = LogEntry.objects.filter(incident=self.kwargs["pk"], notification__isnull=False)
        return entries.select_related("notification__user")

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Entries of the timeline are what is paged over; their messages are what is shown."""
        if args:
            args = ([entry.notification for entry in args[0]], *args[1:])
        return super().get_serializer(*args, **kwargs)


def _user(pk: int) -> User:
    user = User.objects.filter(pk=pk).first()
    if user is None:
        raise Refused("There is nobody with this id.")
    return user


def _policy(pk: int, by: User) -> EscalationPolicy:
    policy = EscalationPolicy.objects.visible_to(by).filter(pk=pk).first()
    if policy is None:
        raise Refused("There is no escalation policy with this id.")
    return policy


def _words(request: Request, name: str, known: dict[str, int]) -> list[int]:
    """Return what a repeatable parameter names; its values may be separated by commas too."""
    words = [word for text in request.query_params.getlist(name) for word in text.split(",")]
    unknown = [word for word in words if word not in known]
    if unknown:
        raise ValidationError({name: [f"Choose among {', '.join(known)}."]})
    return [known[word] for word in words]


def _ids(request: Request, name: str) -> list[int]:
    ids = [number(text) for text in request.query_params.getlist(name)]
    if None in ids:
        raise ValidationError({name: ["Give the id of an alert source, a whole number."]})
    return [pk for pk in ids if pk is not None]

"""REST: escalation policies, and who is asked now."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins
from rest_framework.viewsets import GenericViewSet

from accounts.access import viewer
from accounts.models import User
from ilert.common.rest.errors import Conflict
from ilert.common.rest.paging import whole
from ilert.common.rest.resources import Resource
from ilert.common.text import MAX_ID
from oncall import services
from oncall.levels import course
from oncall.models import EscalationPolicy
from oncall.serializers import OnCallSerializer, PolicySerializer


def _policies(viewer: User) -> QuerySet[EscalationPolicy]:
    visible = EscalationPolicy.objects.visible_to(viewer)
    return visible.select_related("team").prefetch_related(
        "rules", Prefetch("rules__users", User.objects.order_by("pk"))
    )


class PolicyViews(Resource[EscalationPolicy]):
    """Who is asked about an incident, in which order. What runs already keeps the rules it started with."""

    serializer_class = PolicySerializer
    one = "rest-policy"
    ascending = True

    def get_queryset(self) -> QuerySet[EscalationPolicy]:
        return _policies(viewer(self.request))

    def make(self, data: dict[str, Any]) -> EscalationPolicy:
        return services.create_policy(**_with_timing(data))

    def change(self, item: EscalationPolicy, data: dict[str, Any]) -> None:
        item.team = data.pop("team")
        services.update_policy(item, **_with_timing(data))

    def remove(self, item: EscalationPolicy) -> None:
        try:
            services.delete_policy(item)
        except services.PolicyInUse:
            raise Conflict("POLICY_IN_USE", f"Alert sources follow {item}. Give them another policy first.") from None


def _with_timing(data: dict[str, Any]) -> dict[str, Any]:
    timing = services.Timing(data.pop("delay_minutes"), data.pop("accept_timeout_minutes"))
    return data | {"timing": timing}


@extend_schema_view(list=extend_schema(parameters=[OpenApiParameter("escalation-policy", int)]))
class OnCallViews(mixins.ListModelMixin, GenericViewSet[EscalationPolicy]):
    """Who would be asked now: one entry for each person on each level, policy by policy."""

    serializer_class = OnCallSerializer
    ascending = True

    def get_queryset(self) -> QuerySet[EscalationPolicy]:
        wanted = whole(self.request, "escalation-policy", 0, least=1, most=MAX_ID)
        policies = _policies(viewer(self.request))
        return policies.filter(pk=wanted) if wanted else policies

    def paginate_queryset(self, queryset: Any) -> list[Any] | None:
        """Page over policies: a page holds all levels of each of them."""
        page = super().paginate_queryset(queryset)
        return [entry for policy in page or [] for entry in _entries(policy)]


def _entries(policy: EscalationPolicy) -> Iterator[dict[str, Any]]:
    for level in course(policy).levels:
        for person in level.people:
            yield {"policy": policy, "level": level.number, "minutes": level.minutes, "user": person}

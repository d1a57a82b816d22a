"""REST: alert sources."""

from dataclasses import fields
from typing import Any

from django.db.models import QuerySet

from accounts.access import viewer
from alertsources import services
from alertsources.models import AlertSource
from alertsources.serializers import AlertSourceSerializer
from alertsources.services import Options
from ilert.common.rest.errors import Conflict
from ilert.common.rest.resources import Resource


class AlertSourceViews(Resource[AlertSource]):
    """The tools that may send events. A new one comes with its integration key and URL."""

    serializer_class = AlertSourceSerializer
    one = "rest-alert-source"
    ascending = True

    def get_queryset(self) -> QuerySet[AlertSource]:
        sources = AlertSource.objects.visible_to(viewer(self.request)).select_related("escalation_policy", "team")
        # Decrypting a key that is not shown would cost time, and an error if its encryption key were lost.
        return sources if self._shows_keys else sources.defer("integration_key")

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "shows_keys": self._shows_keys}

    @property
    def _shows_keys(self) -> bool:
        return viewer(self.request).is_admin

    def make(self, data: dict[str, Any]) -> AlertSource:
        return services.create_source(
            data["name"],
            data["integration_type"],
            data["escalation_policy"],
            _options(data),
            team=data["team"],
            active=data["active"],
        )

    def change(self, item: AlertSource, data: dict[str, Any]) -> None:
        item.team = data["team"]
        services.update_source(
            item,
            name=data["name"],
            escalation_policy=data["escalation_policy"],
            active=data["active"],
            options=_options(data),
        )

    def remove(self, item: AlertSource) -> None:
        try:
            services.delete_source(item)
        except services.SourceInUse:
            raise Conflict("SOURCE_IN_USE", f"{item} has incidents, which are kept. Disable it instead.") from None


def _options(data: dict[str, Any]) -> Options:
    return Options(**{field.name: data[field.name] for field in fields(Options)})

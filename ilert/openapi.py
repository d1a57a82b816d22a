"""The OpenAPI document: what the views say of themselves, and what holds for all of them."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView

from accounts.access import RightsPermission
from ilert.openapi_events import EVENT_PATHS, EVENT_SCHEMAS

Endpoint = tuple[str, str, str, Callable[..., Any]]

ERROR = {
    "type": "object",
    "required": ["status", "message", "code"],
    "properties": {
        "status": {"type": "integer"},
        "message": {"type": "string", "description": "What is wrong, for people."},
        "code": {"type": "string", "description": "What is wrong, for programs."},
        "errors": {
            "type": "object",
            "description": "By field, such as `escalationRules[0].users`.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}


class SchemaView(SpectacularAPIView):
    """The document itself, as JSON, or as YAML where that is asked for (`?format=yaml`)."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiYamlRenderer]
    authentication_classes: list[Any] = []
    permission_classes = [RightsPermission]

    @extend_schema(exclude=True)
    def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]


class BearerKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "accounts.api_keys.authentication.BearerKey"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A key of yours, from your profile."}


def without_events(endpoints: list[Endpoint], **_: Any) -> list[Endpoint]:
    """The doors of the intake have several addresses each, and read their bodies themselves: see below."""
    return [endpoint for endpoint in endpoints if "/events" not in endpoint[0]]


def with_events(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    result["paths"] |= EVENT_PATHS
    result["components"].setdefault("schemas", {}).update(EVENT_SCHEMAS)
    return result


def with_errors(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of every operation how it refuses: one shape for all."""
    result["components"].setdefault("schemas", {})["Error"] = ERROR
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"]["4XX"] = {"description": "Refused; `message` says why.", "content": content}
            operation["responses"]["503"] = {"description": "Try again.", "content": content}
    return result

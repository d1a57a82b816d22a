"""The doors of the intake in the OpenAPI document. They read their bodies themselves, so it is written by hand."""

from typing import Any

_STRING = {"type": "string"}
_OUTCOME = {
    "type": "string",
    "enum": ["opened", "appended", "accepted", "resolved", "ignored", "test", "ambiguous"],
}
_ONE = {
    "eventId": {"type": "integer", "nullable": True},
    "incidentKey": {"type": "string", "nullable": True},
    "outcome": _OUTCOME,
}
EVENT_SCHEMAS: dict[str, Any] = {
    "Event": {
        "type": "object",
        "required": ["integrationKey", "eventType"],
        "properties": {
            "integrationKey": {
                **_STRING,
                "description": "The key of an alert source of the type API; `apiKey` is taken too.",
            },
            "eventType": {**_STRING, "enum": ["ALERT", "ACCEPT", "RESOLVE", "COMMENT"]},
            "summary": {**_STRING, "description": "Needed for an ALERT."},
            "details": {**_STRING, "description": "Markdown."},
            "incidentKey": {
                **_STRING,
                "description": "What makes two events the same incident, without case; `alertKey` is taken too.",
            },
            "priority": {**_STRING, "enum": ["HIGH", "LOW"]},
        },
    },
    "EventAnswer": {
        "type": "object",
        "description": "Committed. The fields beside `events` are those of the first event.",
        "required": ["status", "eventId", "incidentKey", "incidentUrl", "outcome", "events"],
        "properties": {
            "status": {**_STRING, "enum": ["ok"]},
            **_ONE,
            "incidentUrl": {"type": "string", "nullable": True},
            "events": {"type": "array", "items": {"type": "object", "required": list(_ONE), "properties": _ONE}},
        },
    },
    "EventStored": {
        "type": "object",
        "description": "Stored; a fault of ilert's own keeps it from being applied yet. It is tried again by itself.",
        "required": ["status", "eventId"],
        "properties": {"status": {**_STRING, "enum": ["stored"]}, "eventId": {"type": "integer"}},
    },
}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _responses() -> dict[str, Any]:
    return {
        "200": {"description": "Committed.", "content": _json("EventAnswer")},
        "202": {"description": "Stored, and applied later.", "content": _json("EventStored")},
    }


def _operation(name: str, summary: str, **more: Any) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["events"],
        "security": [{}],
        **more,
        "responses": _responses(),
    }


_DOOR = [
    {"name": "integration", "in": "path", "required": True, "schema": _STRING, "description": "Such as sematext."},
    {"name": "key", "in": "path", "required": True, "schema": _STRING, "description": "The integration key."},
]
_ANYTHING: dict[str, Any] = {"content": {"application/json": {"schema": {}}}}
EVENT_PATHS: dict[str, Any] = {
    "/api/v1/events": {
        "post": _operation(
            "events_create",
            "Send an event of your own, with the key in the body.",
            requestBody={"required": True, "content": _json("Event")},
        )
    },
    "/api/v1/events/{integration}/{key}": {
        "get": _operation("events_query", "For tools that send a query string.", parameters=_DOOR),
        "post": _operation(
            "events_tool", "What a tool sends, in its own words.", parameters=_DOOR, requestBody=_ANYTHING
        ),
    },
}

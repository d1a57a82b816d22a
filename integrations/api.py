"""iLert's events API: whatever can send a POST request can open, accept, comment on and resolve incidents.

The fields are those of `POST /events` in iLert's API reference (https://api.ilert.com/api-docs/), under their names
of today and of the time when an alert was called an incident: `integrationKey` was `apiKey`, `alertKey` was
`incidentKey`. Its clients send both, so both are taken.
"""

from integrations.base import Event, EventType, Integration, Link, PayloadError, Priority, links
from integrations.payload import (
    MAX_DETAILS,
    Fields,
    Payload,
    one_line,
    one_of,
    shortened,
)

TYPES = {
    "alert": EventType.ALERT,
    "accept": EventType.ACCEPT,
    "resolve": EventType.RESOLVE,
    "comment": EventType.COMMENT,
}
PRIORITIES = {"high": Priority.HIGH, "low": Priority.LOW}
# iLert's severities go from 1, the worst, to 5. They count only if there is no `priority`.
SEVERITIES = {
    "1": Priority.HIGH,
    "2": Priority.HIGH,
    "3": Priority.LOW,
    "4": Priority.LOW,
    "5": Priority.LOW,
}
KEYS = ("alertKey", "incidentKey")
MAX_LINKS = 50
MAX_COMMENTS = 50
WITHOUT_SUMMARY = {
    EventType.ACCEPT: "Accepted by the sender",
    EventType.RESOLVE: "Resolved by the sender",
    EventType.COMMENT: "Comment of the sender",
}


class Api(Integration):
    type = "API"
    slug = "api"
    name = "API"
    description = "Scripts and whatever else can send a POST request"
    category = "Your own"
    icon = "code-xml"
    key_infix = "api"
    resolves = True
    resolves_note = "the sender resolves its incidents"
    key_fields = ("integrationKey", "apiKey")
    refuses_unmatched = True
    secret_fields = ("integrationKey", "apiKey")

    def parse(self, payload: Payload) -> list[Event]:
        fields = payload.fields()
        event_type = fields.word("eventType", TYPES)
        if event_type is None:
            raise PayloadError(f"“eventType” is missing: it must be {one_of(TYPES)}.")
        comments = _comments(fields)
        summary = one_line(fields.text("summary"))
        details = _details(fields, summary, comments)
        return [
            Event(
                type=event_type,
                summary=summary or _without_summary(event_type, details),
                key=_key(fields, event_type),
                details=details,
                priority=_priority(fields),
                links=_links(fields),
                labels=fields.object("labels").labels(),
                fields=_readable(fields),
            )
        ]


def _without_summary(event_type: EventType, details: str) -> str:
    """Only an alert must have a summary: iLert's own examples of ACCEPT and RESOLVE have none."""
    if event_type == EventType.ALERT:
        raise PayloadError("“summary” is missing: an ALERT must say what is wrong.")
    if event_type == EventType.COMMENT and not details:
        raise PayloadError("“summary” is missing: a COMMENT must have a text in it, in “details” or in “comments”.")
    return WITHOUT_SUMMARY[event_type]


def _key(fields: Fields, event_type: EventType) -> str:
    """Return the key; an alert may do without and is an incident of its own then."""
    key = next((key for name in KEYS if (key := fields.text(name))), "")
    if not key and event_type != EventType.ALERT:
        raise PayloadError(f"“alertKey” is missing: {event_type} must name the alert that it belongs to.")
    return key


def _priority(fields: Fields) -> Priority | None:
    by_severity = fields.word("severity", SEVERITIES)
    return fields.word("priority", PRIORITIES) or by_severity


def _details(fields: Fields, summary: str, comments: list[str]) -> str:
    text = fields.text("details")
    whole_summary = fields.text("summary")
    parts = [] if summary == whole_summary or text else [whole_summary]
    return shortened("\n\n".join([*parts, *([text] if text else []), *comments]), MAX_DETAILS)


def _comments(fields: Fields) -> list[str]:
    """Return the comments as Markdown quotes."""
    quotes = []
    for comment in fields.objects("comments")[:MAX_COMMENTS]:
        creator, content = comment.text("creator"), comment.text("content")
        if content:
            text = f"{creator}:\n{content}" if creator else content
            quotes.append("\n".join(f"> {line}" for line in text.splitlines()))
    return quotes


def _links(fields: Fields) -> tuple[Link, ...]:
    """Return links and images: an image is on somebody else's server, so people decide whether to open it."""
    pages = [(link.text("text"), _needed(link, "href")) for link in fields.objects("links")[:MAX_LINKS]]
    images = [
        (image.text("alt") or "Image", image.text("href") or _needed(image, "src"))
        for image in fields.objects("images")[:MAX_LINKS]
    ]
    return links(*pages, *images)


def _needed(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if not text:
        raise PayloadError(f"“{fields.name(name)}” is missing.")
    return text


def _readable(fields: Fields) -> dict[str, str]:
    custom = fields.object("customDetails").readable("customDetails.")
    return {name: text for name, text in fields.readable().items() if name != "customDetails"} | custom

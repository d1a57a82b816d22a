"""Sematext: alert notifications through a custom notification hook.

The names of the fields are typed into Sematext's hook form by a person, their values are filled in by Sematext
(https://sematext.com/docs/integration/alerts-webhooks-custom-params/); with "Send data as: Json" every value arrives
as a string. `title` is constantly "Sematext" and `url` is documented as the webhook's own URL, so neither tells
anything about the problem.
"""

import re
from datetime import UTC, datetime

from integrations.base import Event, EventType, Integration, Link, PayloadError
from integrations.payload import Fields, Payload

KNOWN_FIELDS = (
    "backToNormal",
    "ruleType",
    "description",
    "title",
    "applicationId",
    "createTimestamp",
    "ruleId",
    "filters",
    "alertName",
    "troubleshootUrl",
)
# The text of the hook form's button "Send Test Notification".
TEST_TEXT = "your notification hook was successfully tested"
STATE_WORD = r"(?:back to normal|recovered|recovery|resolved|ok|normal|alert|triggered|warning|critical)"
PREFIX_WORDS = re.compile(rf"^\s*(?:(?:\[{STATE_WORD}\]\s*[:\-–!]?|{STATE_WORD}\s*[:\-–!])\s*)+")
RECOVERY_WORDS = re.compile(
    r"\b(?:is |are |has |have |was |now |been )*(?:back to normal|recovered|returned to normal|resolved|no longer)\b"
)
UNIT = (
    r"(?:%|percent|ns|us|µs|ms|secs?|seconds?|s|mins?|minutes?|m|hours?|hrs?|h|days?|d|"
    r"bytes?|[kmgtp]i?b(?:/s)?|b/s|[kmg]bit/s|[kmg]bps|bps|"
    r"(?:requests?|reqs?|ops|operations?|errors?|events?|docs?|messages?|queries)(?:/\w+)?|rps|qps|/s|/min|hz|°c)"
)
NUMBER = r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?"
COMPARISON = (
    r"(?:>=|<=|==|!=|>|<|=|≥|≤|"
    r"\b(?:above|below|over|under|exceed(?:s|ed|ing)?|reach(?:es|ed)?|greater than|less than|more than|fewer than|"
    r"higher than|lower than|at least|at most|equals?(?: to)?|dropped to|rose to|fell to|value is|value was|value of|"
    r"currently|threshold(?: of)?)\b)"
)
VALUE_WITH_UNIT = re.compile(rf"(?<![\w.:/@#-]){NUMBER}\s?{UNIT}(?![\w-])")
VALUE_AFTER_COMPARISON = re.compile(rf"({COMPARISON}\s*:?\s*){NUMBER}(?:\s?{UNIT})?(?![\w:-]|\.\d)")


class Sematext(Integration):
    type = "SEMATEXT"
    slug = "sematext"
    name = "Sematext"
    description = "Metrics, logs, experience and synthetics alerts"
    category = "Monitoring"
    icon = "chart-spline"
    key_infix = "smt"
    methods = ("GET", "POST")
    resolves = True
    secret_fields = ("applicationToken",)

    def parse(self, payload: Payload) -> list[Event]:
        fields = payload.fields()
        if not fields.has_any(KNOWN_FIELDS):
            raise PayloadError(
                "No field that Sematext sends was found. Expected at least “description” and “backToNormal”, "
                "as in the parameters on the alert source's page."
            )
        description = fields.text("description")
        return [
            Event(
                type=_event_type(fields, description),
                summary=description or fields.text("alertName") or _summary_without_text(fields),
                key=_key(fields, description),
                scope=_scope(fields),
                links=_links(fields),
                fields=fields.readable(),
                occurred_at=_occurred_at(fields.text("createTimestamp")),
            )
        ]


def without_values(description: str) -> str:
    """Return a description without what differs between an alert and its recovery.

    Values go: a number with a unit, or one after a comparison. Recovery words go. Names, addresses, ports and
    ordinals stay (`web-1`, `10.0.0.7`, `port 8080`, "host 2"): in doubt a second page beats a swallowed one.
    """
    text = " ".join(description.lower().split())
    text = PREFIX_WORDS.sub("", text)
    text = RECOVERY_WORDS.sub(" ", text)
    text = VALUE_AFTER_COMPARISON.sub(r"\1#", text)
    text = VALUE_WITH_UNIT.sub("#", text)
    return " ".join(text.split()).rstrip(" .!")


def _event_type(fields: Fields, description: str) -> EventType:
    if TEST_TEXT in description.lower():
        return EventType.TEST
    return EventType.RESOLVE if fields.boolean("backToNormal") else EventType.ALERT


def _key(fields: Fields, description: str) -> str:
    """Return what tells one problem from another; Sematext sends no id of the alert itself."""
    if rule := fields.text("ruleId"):
        return _joined("rule", rule, fields.text("filters"))
    return _joined(
        fields.text("applicationId"), fields.text("ruleType"), fields.text("filters"), without_values(description)
    )


def _scope(fields: Fields) -> str:
    """With a rule's id the key is exact, and nothing coarser may be tried."""
    if fields.text("ruleId"):
        return ""
    return _joined(fields.text("applicationId"), fields.text("ruleType"))


def _joined(*parts: str) -> str:
    return " / ".join(part for part in parts if part)


def _summary_without_text(fields: Fields) -> str:
    return _joined("Sematext alert", fields.text("ruleType"), fields.text("applicationId"))


def _links(fields: Fields) -> tuple[Link, ...]:
    url = fields.text("troubleshootUrl")
    return (Link("Alert details in Sematext", url),) if url else ()


def _occurred_at(text: str) -> datetime | None:
    """Read Sematext's creation time. Its format is not documented: ISO 8601, or seconds or milliseconds since 1970."""
    try:
        if re.fullmatch(r"\d{9,13}(?:\.\d+)?", text):
            seconds = float(text)
            return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

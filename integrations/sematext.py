"""Sematext: alert notifications through a custom notification hook.

The names of the fields are typed into Sematext's hook form by a person, their values are filled in by Sematext
(https://sematext.com/docs/integration/alerts-webhooks-custom-params/); with "Send data as: Json" every value arrives
as a string. Sematext adds fields of its own, such as `ruleId` and `filters`. `title` is constantly "Sematext" and
`url` is documented as the webhook's own URL, so neither tells anything about the problem.
"""

from typing import Any

from integrations.base import Event, EventType, Integration, Link, PayloadError, links
from integrations.payload import MAX_DETAILS, Fields, Payload, as_text, moment, one_line, shortened
from integrations.sematext_text import without_values

FIELDS = (
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
# People also type `rule_type` or `Rule-Type`: the fields of a picture in Sematext's documents are spelt like that.
DOCUMENTED = frozenset((*FIELDS, "applicationToken", "url"))
SPELLINGS = {name.lower(): name for name in DOCUMENTED}
# The text of the hook form's button "Send Test Notification".
TEST_TEXT = "your notification hook was successfully tested"


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
        fields = Fields(_as_documented(payload.fields().values))
        if not fields.has_any(FIELDS):
            raise PayloadError(
                "No field that Sematext sends was found. Expected at least “description” and “backToNormal”, "
                "as in the parameters on the alert source's page."
            )
        description = fields.text("description")
        summary = one_line(description) or one_line(fields.loose("alertName")) or _summary_without_text(fields)
        return [
            Event(
                type=_event_type(fields, description),
                summary=summary,
                details="" if summary == description else shortened(description, MAX_DETAILS),
                key=_key(fields, description),
                scope=_scope(fields),
                links=_links(fields),
                fields=fields.readable(),
                occurred_at=moment(fields.loose("createTimestamp")),
            )
        ]


def _as_documented(values: Any) -> dict[str, Any]:
    """Return the fields under their documented names, however a person has spelt them in the hook form."""
    if DOCUMENTED.issuperset(values):
        return dict(values)
    named: dict[str, Any] = {}
    for name, value in values.items():
        if name in DOCUMENTED:
            named[name] = value
            continue
        documented = SPELLINGS.get(name.replace("_", "").replace("-", "").lower(), name)
        named[name if documented in values else documented] = value
    return named


def _event_type(fields: Fields, description: str) -> EventType:
    if description.lower().startswith(TEST_TEXT):
        return EventType.TEST
    return EventType.RESOLVE if fields.boolean("backToNormal") else EventType.ALERT


def _key(fields: Fields, description: str) -> str:
    """Return what tells one problem from another; Sematext sends no id of the alert itself."""
    filters = _filters(fields.values.get("filters"))
    if rule := fields.text("ruleId"):
        return _joined("rule", rule, filters)
    return _joined(fields.text("applicationId"), fields.text("ruleType"), filters, without_values(description))


def _scope(fields: Fields) -> str:
    """With a rule's id the key is exact, and nothing coarser may be tried."""
    if fields.text("ruleId"):
        return ""
    return _joined(fields.text("applicationId"), fields.text("ruleType"))


def _filters(value: Any) -> str:
    """Return the tags of a rule with Group-by in one order.

    They came as the text of a Java map, `{os.host=web-1, disk=/var}`; JSON is taken as well.
    """
    if isinstance(value, dict):
        pairs = [f"{name}={as_text(item)}" for name, item in value.items()]
    elif isinstance(value, list):
        pairs = [as_text(item) for item in value]
    elif isinstance(value, str) and value.strip()[:1] == "{" and value.strip()[-1:] == "}":
        pairs = value.strip()[1:-1].split(", ")
    else:
        return "" if value is None else as_text(value).strip()
    pairs = sorted(pair for pair in pairs if pair.strip())
    return "{" + ", ".join(pairs) + "}" if pairs else ""


def _joined(*parts: str) -> str:
    return " / ".join([part for part in parts if part])


def _summary_without_text(fields: Fields) -> str:
    return one_line(_joined("Sematext alert", fields.text("ruleType"), fields.text("applicationId")))


def _links(fields: Fields) -> tuple[Link, ...]:
    return links(("Alert details in Sematext", fields.loose("troubleshootUrl")), ("Sematext", fields.loose("url")))

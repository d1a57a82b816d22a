"""Prometheus: alerts through Alertmanager's webhook receiver, version 4 of its payload.

A request is a group of alerts (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config); each is an
event of its own. An alert is recognised by its `fingerprint`, which Alertmanager makes from the labels. What else
speaks this format (VictoriaMetrics, Loki, Mimir, Cortex, Thanos, Grafana's contact point) works as well.
"""

from datetime import datetime

from integrations.base import Event, EventType, Integration, Link, PayloadError, links, priority_of
from integrations.payload import MAX_DETAILS, Fields, Payload, code, moment, one_line, shortened

STATES = {"firing": EventType.ALERT, "resolved": EventType.RESOLVE}
# The annotations that people write the alert's text into, the best first.
SUMMARIES = ("summary", "title", "description", "message")
DESCRIPTIONS = ("description", "message")
RUNBOOKS = ("runbook_url", "runbook")
MAX_ALERTS = 1000
SHARED = ("receiver", "groupKey", "externalURL")
MAX_SHARED = 500


class Prometheus(Integration):
    type = "PROMETHEUS"
    slug = "prometheus"
    name = "Prometheus"
    description = "Alerting rules, through Alertmanager's webhook"
    category = "Monitoring"
    icon = "flame"
    key_infix = "prm"
    resolves = True

    def parse(self, payload: Payload) -> list[Event]:
        group = payload.fields()
        if "alerts" not in group.values:
            raise PayloadError("“alerts” is missing: expected the payload of an Alertmanager webhook, version 4.")
        alerts = group.objects("alerts")
        if not alerts:
            raise PayloadError("“alerts” is empty: Alertmanager sends at least one alert.")
        if len(alerts) > MAX_ALERTS:
            raise PayloadError(
                f"“alerts” holds {len(alerts)} alerts; at most {MAX_ALERTS} are read from one request. Set "
                f"“max_alerts: {MAX_ALERTS}” in the webhook_configs of the receiver, or group by more labels."
            )
        shared = _shared(group)
        status = group.word("status", STATES)
        return [_event(alert, status, shared) for alert in alerts]


def _shared(group: Fields) -> dict[str, str]:
    """Return what the alerts of a group have in common: a little only, as it is stored with each of them."""
    texts = {name: one_line(group.loose(name), MAX_SHARED) for name in SHARED}
    return {name: text for name, text in texts.items() if text}


def _event(alert: Fields, status: EventType | None, shared: dict[str, str]) -> Event:
    event_type = alert.word("status", STATES) or status
    if event_type is None:
        raise PayloadError(f"“{alert.name('status')}” is missing: it must be firing or resolved.")
    labels = alert.object("labels").texts()
    annotations = alert.object("annotations").texts()
    return Event(
        type=event_type,
        summary=_summary(labels, annotations),
        key=alert.text("fingerprint") or _key_of_labels(labels, alert),
        details=_details(labels, annotations),
        priority=priority_of(labels.get("severity", "")),
        links=_links(alert, annotations, shared),
        labels=alert.object("labels").labels(),
        fields=_readable(alert) | shared,
        occurred_at=_occurred_at(alert, event_type),
    )


def _summary(labels: dict[str, str], annotations: dict[str, str]) -> str:
    text = next((line for name in SUMMARIES if (line := one_line(annotations.get(name, "")))), "")
    return text or one_line(" on ".join(filter(None, (_name(labels), labels.get("instance", "")))))


def _name(labels: dict[str, str]) -> str:
    return labels.get("alertname", "") or "Prometheus alert"


def _key_of_labels(labels: dict[str, str], alert: Fields) -> str:
    """Return what tells an alert from others when nobody has made a fingerprint of its labels."""
    if not labels:
        raise PayloadError(f"“{alert.name('fingerprint')}” is missing, and there are no labels to do without it.")
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _details(labels: dict[str, str], annotations: dict[str, str]) -> str:
    text = next((text for name in DESCRIPTIONS if (text := annotations.get(name, "").strip())), "")
    listed = [f"- {code(name)}: {code(value)}" for name, value in labels.items()]
    return shortened("\n\n".join(part for part in (text, "\n".join(listed)) if part), MAX_DETAILS)


def _links(alert: Fields, annotations: dict[str, str], shared: dict[str, str]) -> tuple[Link, ...]:
    runbook = next((annotations[name] for name in RUNBOOKS if name in annotations), "")
    return links(
        ("Runbook", runbook),
        ("Prometheus", alert.loose("generatorURL")),
        ("Alertmanager", shared.get("externalURL", "")),
    )


def _readable(alert: Fields) -> dict[str, str]:
    own = {name: value for name, value in alert.values.items() if name not in ("labels", "annotations")}
    return (
        Fields(own).readable()
        | alert.object("labels").readable("labels.")
        | alert.object("annotations").readable("annotations.")
    )


def _occurred_at(alert: Fields, event_type: EventType) -> datetime | None:
    return moment(alert.loose("startsAt" if event_type == EventType.ALERT else "endsAt"))

"""Elasticsearch Watcher: alerts through the webhook action of a watch.

What arrives is what a person writes as the action's `body`. We ask for `{{#toJson}}ctx{{/toJson}}`, the watch's whole
context (https://www.elastic.co/guide/en/elasticsearch/reference/current/how-watcher-works.html): `watch_id`, `id`
(another one in every run), `execution_time`, `trigger`, `payload` (what the input found), `metadata` (null when there
is none) and `vars`. Around and instead of it people send many things. Watcher never sends a failed request again, so
whatever may be an alert becomes an incident, even if it can only say what to mend. It sends nothing when the problem
is over.
"""

import re
from typing import Any

from integrations.base import Event, EventType, Integration, PayloadError, priority_of
from integrations.payload import (
    MAX_VALUE,
    Fields,
    Payload,
    as_text,
    code,
    code_block,
    decode,
    excerpt,
    kind,
    moment,
    one_line,
    read_json,
    shortened,
)

# Where people put the context: around it, or as JSON inside of a text.
ENVELOPES = ("ctx", "payload")
MAX_ENVELOPES = 8
SEVERITIES = ("severity", "priority")
# What a search's answer says about itself and not about what was found.
NOISE = ("took", "timed_out", "_shards", "_headers", "_clusters")
SHOWN_HITS = 5
MAX_SHOWN = 4000
BEGINS_LIKE_JSON = re.compile(r'\s*(?:\{|"|\[\s*(?:[\[{"\]0-9-]|true|false|null))')
BODY = "{{#toJson}}ctx{{/toJson}}"
UNIDENTIFIED = "unidentified"


class ElasticsearchWatcher(Integration):
    type = "ESWATCHER"
    slug = "eswatcher"
    name = "Elasticsearch Watcher"
    description = "Watches of X-Pack alerting, set up in Kibana"
    category = "Monitoring"
    icon = "binoculars"
    key_infix = "esw"
    resolves = False

    def parse(self, payload: Payload) -> list[Event]:
        text = decode(payload.body).strip()
        if not text:
            raise PayloadError(f"The body is empty. Set the “body” of the watch's webhook action to {BODY}.")
        value = _value(text, payload.content_type)
        ctx = _context(value)
        return [_unidentified(value) if ctx is None else _alert(ctx)]


def _value(text: str, content_type: str) -> Any:
    """Return what the body holds: JSON if it is declared as JSON or begins like it, else text."""
    if "json" in content_type.lower() or BEGINS_LIKE_JSON.match(text):
        return read_json(text)
    return text


def _context(value: Any) -> Fields | None:
    """Return the watch's context, wherever it is wrapped; None if there is none that names its watch."""
    for _ in range(MAX_ENVELOPES):
        if isinstance(value, str):
            value = _inner_json(value)
            continue
        if not isinstance(value, dict):
            return None
        if value.get("watch_id") is not None and as_text(value["watch_id"]).strip():
            return Fields(value)
        value = next((value[name] for name in ENVELOPES if isinstance(value.get(name), dict | str)), None)
    return None


def _inner_json(text: str) -> Any:
    try:
        return read_json(text)
    except PayloadError:
        return None


def _alert(ctx: Fields) -> Event:
    watch_id = ctx.text("watch_id")
    metadata = _metadata(ctx)
    trigger = ctx.values.get("trigger")
    times = Fields(trigger if isinstance(trigger, dict) else {})
    fired = times.loose("triggered_time") or ctx.loose("execution_time")
    hits = _hits(ctx.values.get("payload"))
    return Event(
        type=EventType.ALERT,
        summary=one_line(metadata.loose("name")) or one_line(watch_id) or "Elasticsearch Watcher",
        key=watch_id,
        details=_details(watch_id, fired, hits, ctx.values.get("payload")),
        priority=next((found for name in SEVERITIES if (found := priority_of(metadata.loose(name)))), None),
        fields=_readable(ctx, metadata, times, hits),
        occurred_at=moment(fired),
    )


def _metadata(ctx: Fields) -> Fields:
    """Return what the watch's author wrote about it. It is null for most, and may be anything."""
    value = ctx.values.get("metadata")
    return Fields(value if isinstance(value, dict) else {})


def _hits(payload: Any) -> str:
    """Return how many documents a search found: an integer, or an object that says whether there are more."""
    hits = payload.get("hits") if isinstance(payload, dict) else None
    total = hits.get("total") if isinstance(hits, dict) else None
    more = ""
    if isinstance(total, dict):
        more = " or more" if total.get("relation") == "gte" else ""
        total = total.get("value")
    return f"{total}{more}" if isinstance(total, int) and not isinstance(total, bool) else ""


def _details(watch_id: str, fired: str, hits: str, payload: Any) -> str:
    facts = [f"Watch {code(watch_id)}"]
    if fired:
        facts.append(f"fired at {code(fired)}")
    if hits:
        facts.append(f"hits: **{hits}**")
    blocks = [" · ".join(facts)]
    if shown := _shown(payload):
        blocks.append(code_block(excerpt(shown, MAX_SHOWN), "json"))
    return "\n\n".join(blocks)


def _shown(payload: Any) -> Any:
    """Return what is worth reading of a watch's payload: of a search the first hits' documents and the aggregations."""
    if not isinstance(payload, dict):
        return payload
    shown = {name: value for name, value in payload.items() if name not in NOISE}
    hits = shown.get("hits")
    found = hits.get("hits") if isinstance(hits, dict) else None
    if isinstance(found, list):
        shown["hits"] = [_document(hit) for hit in found[:SHOWN_HITS]]
        if len(found) > SHOWN_HITS:
            shown["hits"].append(f"… and {len(found) - SHOWN_HITS} more")
    return {name: value for name, value in shown.items() if value not in ({}, [], None)}


def _document(hit: Any) -> Any:
    return hit.get("_source", hit) if isinstance(hit, dict) else hit


def _readable(ctx: Fields, metadata: Fields, times: Fields, hits: str) -> dict[str, str]:
    """Return the context without the payload, which may be megabytes and is kept with the request."""
    rest = {name: value for name, value in ctx.values.items() if name not in ("payload", "metadata", "trigger")}
    counted = {"payload.hits.total": hits} if hits else {}
    return Fields(rest).readable() | times.readable("trigger.") | metadata.readable("metadata.") | counted


def _unidentified(value: Any) -> Event:
    """Return an alert for a request that does not say which watch it is from: one incident for all of them."""
    what = "text" if isinstance(value, str) else kind(value)
    shown = shortened(value, MAX_SHOWN) if isinstance(value, str) else excerpt(value, MAX_SHOWN)
    return Event(
        type=EventType.ALERT,
        summary="A watch has fired, but its request does not say which one",
        key=UNIDENTIFIED,
        details=(
            f"Elasticsearch Watcher sent {what} without a `watch_id`. Look in Kibana which watch posts to this alert "
            f"source, and set the `body` of its webhook action to {code(BODY)}, as on the alert source's page. "
            "Until then all such requests are this one incident.\n\n"
            f"{code_block(shown)}"
        ),
        fields={"body": shortened(as_text(value), MAX_VALUE)},
    )

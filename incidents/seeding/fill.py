"""The statements that make incidents, events and timelines up, slice by slice, inside the database.

`seed_plan` has a row for each incident to come; everything else is selected from it. Events and log entries of an
incident take their ids from one block, so that its timeline has the order in which things happened.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from incidents.models import TIMELINE_SEQUENCE
from incidents.search import DOCUMENT
from incidents.seeding.cast import Cast

SLICE = 50_000
LARGEST = 5_000
# Ids of a timeline beside those of its events: asked and told twice, accepted, resolved.
_ENTRIES = 6

_TABLES = """
CREATE TEMP TABLE seed_person AS
    SELECT * FROM jsonb_to_recordset(%(people)s)
    AS (n int, id bigint, name text, method bigint, channel text, target text);
CREATE TEMP TABLE seed_policy AS
    SELECT * FROM jsonb_to_recordset(%(policies)s)
    AS (n int, id bigint, run jsonb, run_second jsonb, first int, second int);
CREATE TEMP TABLE seed_source AS
    SELECT * FROM jsonb_to_recordset(%(sources)s) AS (n int, id bigint, name text, policy int);
"""

# Newer incidents are likelier to be open. The numbers of events are skewed, with one giant, and add up exactly.
_PLAN = """
CREATE TEMP TABLE seed_plan AS
WITH raw AS (
    SELECT i,
        (%(incidents)s - i) %% %(stride)s = 0 AND %(incidents)s - i < %(stride)s * %(open)s AS is_open,
        random() AS chance, -ln(1 - random()) AS weight,
        (random() * (SELECT count(*) - 1 FROM seed_source))::int AS source,
        %(now)s::timestamptz - interval '365 days' * (1 - (i - random()) / %(incidents)s) AS reported_at
    FROM generate_series(1, %(incidents)s) AS i
), counted AS (
    SELECT *, 1
        + floor(sum(weight) OVER before_and_this / sum(weight) OVER () * %(extra)s)::int
        - floor((sum(weight) OVER before_and_this - weight) / sum(weight) OVER () * %(extra)s)::int
        + CASE WHEN i = %(incidents)s THEN %(giant)s ELSE 0 END AS events
    FROM raw WINDOW before_and_this AS (ORDER BY i ROWS UNBOUNDED PRECEDING)
)
SELECT i, %(first_incident)s + i AS id, is_open, chance, source, reported_at, events,
    -- Of the open ones two in five are accepted; of the others the tool resolves most.
    chance < 0.4 OR (NOT is_open AND chance < 0.8) AS was_accepted,
    NOT is_open AND chance < 0.3 AS by_person,
    chance > 0.75 AS second_level,
    CASE WHEN chance > 0.15 THEN 'high' ELSE 'low' END AS priority,
    LEAST(%(now)s::timestamptz, reported_at + interval '1 second' * (20 + chance * 280)) AS accepted_at,
    LEAST(%(now)s::timestamptz, reported_at + interval '1 minute' * (10 + 600 * chance * chance)) AS last_event_at,
    (ARRAY['disk almost full', 'CPU load too high', 'no answer on port 443', 'error rate above 5 %%',
           'p99 latency above 800 ms', 'replication lag 42 s', 'certificate expires in 6 days', 'queue is growing',
           'out of memory, process restarted', 'no heartbeat for 3 minutes', 'backup did not finish',
           'login failures from one network', 'index is read-only', 'time drift of 900 ms', 'payment refused by bank',
           'checkout conversion dropped'])[1 + (i * 7 + floor(chance * 1000)::int) %% 16] AS problem,
    (ARRAY['web', 'api', 'db', 'cache', 'queue', 'search', 'edge', 'batch', 'auth', 'mail', 'billing', 'cdn'])[
        1 + (i * 5 + floor(chance * 997)::int) %% 12] || '-' || 1 + floor(chance * 10000)::int %% 97 AS host,
    (ARRAY['eu-central', 'eu-west', 'us-east', 'us-west', 'ap-south'])[1 + floor(chance * 5)::int] AS region,
    %(first_timeline)s + sum(events + %(entries)s) OVER (ORDER BY i) - events - %(entries)s AS block
FROM counted;
CREATE UNIQUE INDEX ON seed_plan (i);
ANALYZE seed_plan;
"""

# A year's problems come back: closed incidents share some thousands of keys, open ones must not.
_SLICE = """
CREATE TEMP TABLE seed_slice ON COMMIT DROP AS
SELECT plan.*, source.id AS source_id, source.name AS source_name, policy.id AS policy_id,
    policy.run, policy.run_second, one.id AS one_id, one.name AS one_name, one.method AS one_method,
    one.channel AS one_channel, one.target AS one_target, two.id AS two_id, two.name AS two_name,
    two.method AS two_method, two.channel AS two_channel, two.target AS two_target,
    host || ': ' || problem || ' (' || region || ')' AS summary,
    host || '/' || problem || '/' || CASE WHEN is_open THEN i ELSE i %% 20000 END AS key,
    LEAST(%(now)s::timestamptz, GREATEST(last_event_at, accepted_at) + interval '1 minute') AS resolved_at
FROM seed_plan plan
JOIN seed_source source ON source.n = plan.source
JOIN seed_policy policy ON policy.n = source.policy
JOIN seed_person one ON one.n = policy.first
JOIN seed_person two ON two.n = policy.second
WHERE i > %(after)s AND i <= %(until)s
"""

# Pending incidents are due in the weeks to come, so that a running engine leaves the picture as it is for a while.
_INCIDENTS = """
INSERT INTO incidents_incident (
    id, alert_source_id, escalation_policy_id, summary, details, status, priority, incident_key, key_hash,
    event_count, reported_at, last_event_at, accepted_at, resolved_at, responder_id, next_escalation_at, run
)
SELECT id, source_id, policy_id, summary,
    'Host ' || host || ' in ' || region || ' reports: ' || problem || '. Measured ' || round(chance::numeric * 100, 2)
        || ' over the last five minutes, usual is below ' || 10 + i %% 60
        || '. See the runbook of ' || source_name || '.',
    CASE WHEN NOT is_open THEN 3 WHEN was_accepted THEN 2 ELSE 1 END, priority, key,
    sha256(convert_to(lower(key), 'UTF8')), events, reported_at, last_event_at,
    CASE WHEN was_accepted THEN accepted_at END, CASE WHEN NOT is_open THEN resolved_at END,
    CASE WHEN was_accepted THEN CASE WHEN second_level THEN two_id ELSE one_id END END,
    CASE WHEN is_open AND NOT was_accepted THEN %(now)s::timestamptz + interval '1 day' * (7 + 30 * chance) END,
    CASE WHEN second_level THEN run_second ELSE run END
FROM seed_slice ORDER BY i
"""

_EVENTS = """
INSERT INTO incidents_event (
    id, alert_source_id, incident_id, request_id, body, content_type, received_at, occurred_at, type, outcome, reason,
    incident_key, summary, details, fields, links
)
SELECT block + CASE WHEN n = 1 THEN 0 ELSE n + %(entries)s - 2 END, source_id, id, gen_random_uuid(),
    CASE WHEN at > %(now)s::timestamptz - interval '1 day' * %(body_days)s THEN convert_to(jsonb_build_object(
        'host', host, 'region', region, 'message', summary, 'ruleId', i %% 900, 'sequence', n,
        'value', round(chance::numeric * 100, 2), 'threshold', 10 + i %% 60, 'at', at, 'tags',
        jsonb_build_array('team:' || source_name, 'region:' || region, 'seeded')
    )::text, 'UTF8') END,
    'application/json', at, NULL,
    CASE WHEN is_recovery THEN 'RESOLVE' ELSE 'ALERT' END,
    CASE WHEN is_recovery THEN 'resolved' WHEN n = 1 THEN 'opened' ELSE 'appended' END, '', key, summary, '',
    jsonb_build_object('host', host, 'region', region, 'value', round(chance::numeric * 100, 2)), '[]'
FROM (
    SELECT seed_slice.*, n, n = events AND n > 1 AND NOT is_open AND NOT by_person AS is_recovery,
        CASE WHEN n = 1 THEN reported_at
             ELSE accepted_at + (GREATEST(last_event_at, accepted_at) - accepted_at) * n / events END AS at
    FROM seed_slice, generate_series(1, events) AS n
) AS event
"""

_TOLD = """
CREATE TEMP TABLE seed_told ON COMMIT DROP AS
SELECT slice.id, slice.i, block, md5('seed:' || slice.id || ':' || level)::uuid AS notification, summary,
    source_name, priority, is_open, was_accepted, level,
    CASE level WHEN 1 THEN one_id ELSE two_id END AS person, CASE level WHEN 1 THEN one_name ELSE two_name END AS name,
    CASE level WHEN 1 THEN one_method ELSE two_method END AS method,
    CASE level WHEN 1 THEN one_channel ELSE two_channel END AS channel,
    CASE level WHEN 1 THEN one_target ELSE two_target END AS target,
    reported_at + interval '10 second' * (level - 1) AS at
FROM seed_slice slice, generate_series(1, CASE WHEN second_level THEN 2 ELSE 1 END) AS level
"""

_PROVIDERS = """
INSERT INTO notifications_provider (name, failures, pause_seconds, probing, answer)
SELECT DISTINCT channel, 0, 0, FALSE, '' FROM seed_told ON CONFLICT DO NOTHING
"""

_NOTIFICATIONS = """
INSERT INTO notifications_notification (
    id, dedupe_key, user_id, user_name, contact_method_id, channel, provider_id, target, title, text, urgent, state,
    answer, attempt_count, created_at, first_attempt_at, finished_at
)
SELECT notification, 'seed:' || id || ':' || level, person, name, method, channel, channel, target,
    summary || ' [' || source_name || ']', '', priority = 'high',
    CASE WHEN i %% 50 = 0 THEN 'failed' ELSE 'accepted' END,
    CASE WHEN i %% 50 = 0 THEN '550 5.1.1 mailbox unknown' ELSE '250 2.0.0 Ok: queued' END,
    1, at, at + interval '0.1 second', at + interval '0.4 second'
FROM seed_told
"""

_ATTEMPTS = """
INSERT INTO notifications_attempt (notification_id, number, started_at, finished_at, succeeded, answer)
SELECT notification, 1, at + interval '0.1 second', at + interval '0.4 second', i %% 50 <> 0,
    CASE WHEN i %% 50 = 0 THEN '550 5.1.1 mailbox unknown' ELSE '250 2.0.0 Ok: queued' END
FROM seed_told
"""

_ENTRIES_OF_STEPS = """
INSERT INTO incidents_logentry (id, incident_id, kind, created_at, actor_name, notification_id, data)
SELECT block + 2 * level - 1, id, 'level.asked', at, '', NULL,
    jsonb_build_object('level', level, 'round', 1, 'people', name)
FROM seed_told
UNION ALL
SELECT block + 2 * level, id, 'notified', at, '', notification, '{}' FROM seed_told
"""

_ENTRIES_OF_DEEDS = """
INSERT INTO incidents_logentry (id, incident_id, kind, created_at, actor_id, actor_name, data)
SELECT block + 5, id, 'accepted', accepted_at, CASE WHEN second_level THEN two_id ELSE one_id END,
    CASE WHEN second_level THEN two_name ELSE one_name END, '{}'::jsonb
FROM seed_slice WHERE was_accepted
UNION ALL
SELECT block + events + %(entries)s - 1, id, 'resolved', resolved_at, one_id, one_name, '{}'::jsonb
FROM seed_slice WHERE by_person
"""

_SEARCH_ENTRIES = f"""
INSERT INTO incidents_searchentry (incident_id, document)
SELECT incident.id, {DOCUMENT} FROM seed_slice JOIN incidents_incident AS incident USING (id) ORDER BY id
"""  # noqa: S608  # nosec B608: constants of the project

_STEPS = (
    _SLICE, _INCIDENTS, _SEARCH_ENTRIES, _EVENTS, _TOLD, _PROVIDERS, _NOTIFICATIONS, _ATTEMPTS, _ENTRIES_OF_STEPS,
    _ENTRIES_OF_DEEDS,
)  # fmt: skip
_TOUCHED = (
    "incidents_incident", "incidents_event", "incidents_logentry", "notifications_notification",
    "notifications_attempt", "incidents_searchentry",
)  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """How much is made. Every incident has an event at least; `bodies` says of how many days raw bodies are kept."""

    incidents: int
    events: int
    open: int
    body_days: int


def fill(cast: Cast, sizes: Sizes) -> Iterator[int]:
    """Make incidents with all that belongs to them; yields how many there are, after each slice."""
    with connection.cursor() as cursor:
        # Made-up data may be lost in a crash, and nobody waits for these statements.
        cursor.execute("SET synchronous_commit = off; SET statement_timeout = 0; SELECT setseed(0.42)")
        _prepare(cursor, cast, sizes)
        for after in range(0, sizes.incidents, SLICE):
            until = min(after + SLICE, sizes.incidents)
            _fill_slice(cursor, sizes, after, until)
            yield until
        cursor.execute("VACUUM (ANALYZE) " + ", ".join(_TOUCHED))
        cursor.execute("RESET synchronous_commit; RESET statement_timeout")
        cursor.execute("DROP TABLE seed_plan, seed_source, seed_policy, seed_person")


def _prepare(cursor: CursorWrapper, cast: Cast, sizes: Sizes) -> None:
    rows = {"people": cast.people, "policies": cast.policies, "sources": cast.sources}
    cursor.execute(_TABLES, {name: json.dumps(value) for name, value in rows.items()})
    giant = min(LARGEST, (sizes.events - sizes.incidents) // 2)
    cursor.execute(
        _PLAN,
        {
            "incidents": sizes.incidents,
            "open": sizes.open,
            "stride": min(3, sizes.incidents // max(sizes.open, 1)),
            "giant": giant,
            "extra": sizes.events - sizes.incidents - giant,
            "entries": _ENTRIES,
            "now": _now(cursor),
            "first_incident": _reserve(cursor, "incidents_incident_id_seq", sizes.incidents),
            "first_timeline": _reserve(cursor, TIMELINE_SEQUENCE, sizes.events + _ENTRIES * sizes.incidents) + 1,
        },
    )


def _fill_slice(cursor: CursorWrapper, sizes: Sizes, after: int, until: int) -> None:
    values: dict[str, int | str] = {
        "after": after, "until": until, "now": _now(cursor), "entries": _ENTRIES, "body_days": sizes.body_days,
    }  # fmt: skip
    with transaction.atomic():
        for statement in _STEPS:
            cursor.execute(statement, values)


def _now(cursor: CursorWrapper) -> str:
    cursor.execute("SELECT date_trunc('minute', now())::text")
    return str(cursor.fetchone()[0])


def _reserve(cursor: CursorWrapper, sequence: str, count: int) -> int:
    """Take `count` ids out of a sequence; returns the id before the first of them."""
    cursor.execute("SELECT nextval(%s::regclass)", [sequence])
    first = int(cursor.fetchone()[0])
    cursor.execute("SELECT setval(%s::regclass, %s)", [sequence, first + count])
    return first

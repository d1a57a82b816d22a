"""Full-text search over incidents: every word has to occur, as a whole or as the beginning of one.

What is searched in stands apart from the incidents and is written behind them: splitting a text into words costs as
much as opening its incident, and nobody searches for it within the second.
"""

import re
from typing import LiteralString

from django.db import connection, transaction
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

# As many as a person types; each costs a look into the index.
MAX_WORDS = 12
BATCH = 1000
"""Incidents that are made findable at once."""
# Incidents are not committed in the order of their numbers; whoever is later than that many others is older than any
# transaction may be.
_STRAGGLERS = 20_000
_ONE_AT_A_TIME = 4_711_005
_SEPARATORS = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"#?([0-9]{1,18})")

# Punctuation separates words, so that "example" finds "web-1.example.com". Written for statements with parameters.
DOCUMENT: LiteralString = r"""to_tsvector('simple', translate(
    incident.summary || ' ' || left(incident.incident_key, 1000) || ' ' || left(incident.details, 2000),
    '-./:_@=|#\,;()[]{}<>"''`*&%%?!~+$^',
    repeat(' ', 32)
))"""
_ANY_NEW: LiteralString = """
SELECT COALESCE((SELECT max(id) FROM incidents_incident), 0)
     > COALESCE((SELECT max(incident_id) FROM incidents_searchentry), 0)
"""
_ADD: LiteralString = f"""
INSERT INTO incidents_searchentry (incident_id, document)
SELECT incident.id, {DOCUMENT}
FROM incidents_incident AS incident
WHERE incident.id > COALESCE((SELECT max(incident_id) FROM incidents_searchentry), 0) - %s
  AND NOT EXISTS (SELECT FROM incidents_searchentry AS entry WHERE entry.incident_id = incident.id)
ORDER BY incident.id LIMIT %s
ON CONFLICT DO NOTHING
"""  # noqa: S608  # nosec B608: constants of this module
_FOUND: LiteralString = """"incidents_incident"."id" IN (
    SELECT incident_id FROM incidents_searchentry WHERE document @@ to_tsquery('simple', %s)
"""
# Among a few the index of all words is slower than reading them, and what is no column cannot be looked up there.
_FOUND_AMONG: LiteralString = """"incidents_incident"."id" IN (
    SELECT incident_id FROM incidents_searchentry
    WHERE COALESCE(document, '') @@ to_tsquery('simple', %s) AND incident_id BETWEEN %s AND %s
"""
_NUMBERED: LiteralString = "UNION ALL SELECT %s::bigint"


def matching(words: str, ids: range | None = None) -> Q:
    """Return the condition for incidents that `words` find: by their text, or a single number by their own number.

    What `DOCUMENT` does to the text is done to the words: "web-1" finds "web" directly followed by "1…". With `ids`
    only the texts of these incidents are looked at, one by one.
    """
    terms = [term for word in words.split()[:MAX_WORDS] if (term := _term(word))]
    if not terms:
        return Q(pk__in=[])
    number = _NUMBER.fullmatch(words.strip())
    parameters = [" & ".join(terms), *((ids.start, ids.stop - 1) if ids else ()), *([int(number[1])] if number else ())]
    statement = (_FOUND_AMONG if ids else _FOUND) + (_NUMBERED if number else "") + ")"
    return Q(RawSQL(statement, parameters, output_field=BooleanField()))  # noqa: S611  # nosec B611: parameters only


def any_new() -> bool:
    """Whether the newest incident is not findable yet."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY_NEW)
        return bool(cursor.fetchone()[0])


def add_new() -> int:
    """Make the oldest of the new incidents findable, a batch of them. Returns how many; 0 while somebody else does."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_ADD, [_STRAGGLERS, BATCH])
        return int(cursor.rowcount)


def _term(word: str) -> str:
    """Return a word as tsquery: only letters and digits are left, so that nothing in it is an operator."""
    parts = [part for part in _SEPARATORS.split(word) if part]
    return " <-> ".join(parts) + ":*" if parts else ""

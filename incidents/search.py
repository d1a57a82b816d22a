"""Full-text search over incidents: every word has to occur, as a whole or as the beginning of one."""

import re

from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

# As many as a person types; each costs a look into the index.
MAX_WORDS = 12
_SEPARATORS = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"#?([0-9]{1,18})")


def matching(words: str) -> Q:
    """Return the condition for incidents that `words` find: by their text, or a single number by their own number.

    What the migration does to the text is done to the words: "web-1" finds "web" directly followed by "1…".
    """
    terms = [term for word in words.split()[:MAX_WORDS] if (term := _term(word))]
    if not terms:
        return Q(pk__in=[])
    found = Q(
        RawSQL(
            '"incidents_incident"."search" @@ to_tsquery(\'simple\', %s)',  # nosec B611: parameters only
            [" & ".join(terms)],
            output_field=BooleanField(),
        )
    )
    number = _NUMBER.fullmatch(words.strip())
    return found | Q(pk=int(number[1])) if number else found


def _term(word: str) -> str:
    """Return a word as tsquery: only letters and digits are left, so that nothing in it is an operator."""
    parts = [part for part in _SEPARATORS.split(word) if part]
    return " <-> ".join(parts) + ":*" if parts else ""

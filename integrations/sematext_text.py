"""What in the text of an alert names the problem, and what only says how bad it is now.

Sematext sends no id with an alert, so an alert and its recovery are recognised by their texts. Values go: numbers
with a unit, and numbers after a comparison. Recovery words go. Names, addresses, ports, versions, ordinals and ids
stay. In doubt a number stays: a second page beats a swallowed one.

It is read word by word and never by a search over the whole text, so that the time grows with the text and not faster.
"""

import re
import unicodedata

# What comes after is kept as it is: no alert is as long, and nobody shall make us read for seconds.
MAX_TEXT = 10_000
MAX_WORD = 40
VALUE = "#"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A number with one of these is a value, whatever stands before it …
UNITS = _words(
    "% percent percentage ‰ pct pp ns us µs μs ms msec msecs millisecond milliseconds microseconds nanoseconds "
    "sec secs second seconds min mins minute minutes hr hrs hour hours day days week weeks "
    "byte bytes kb mb gb tb pb kib mib gib tib pib kbit mbit gbit kbps mbps gbps bps "
    "kb/s mb/s gb/s kib/s mib/s gib/s b/s bytes/s bytes/sec kbit/s mbit/s gbit/s bit/s "
    "rps qps tps iops rpm hz khz mhz ghz °c °f celsius fahrenheit /s /sec /second /min /minute /h /hour x"
)
# … and with one of these unless a name's word does: "port 8080 errors" is about that port, "12 errors" is a count.
COUNTED = _words(
    "s m h d b k request requests req reqs ops op operation operations error errors exception exceptions event events "
    "doc docs document documents message messages query queries hit hits log logs line lines row rows record records "
    "connection connections thread threads session sessions user users item items packet packets time times "
    "occurrence occurrences failure failures retry retries restart restarts call calls transaction transactions "
    "commit commits timeout timeouts per"
)
# Before a number these make it a name.
NAMES = _words(
    "port ports host hosts hostname node server machine vm instance id ids pid ppid uid gid number no nr num "
    "shard partition replica container pod broker leader rack slot zone region datacenter dc cluster site "
    "disk drive volume lun raid sensor fan psu cpu core socket gpu nic eth interface vlan channel line lane "
    "app application service rule alert job task build run step stage phase batch worker thread consumer "
    "version v release rev revision java jdk python php node.js level tier priority severity p "
    "page room floor building door gate store shop branch tenant customer client account org team project user "
    "order ticket issue incident case code status http exit error errno signal chapter section table index topic "
    "queue stream group segment generation epoch attempt monitor check location device printer camera"
)
# After one of these a number is a value.
COMPARISONS = _words(
    "> < >= <= == != = ≥ ≤ ≠ above below over under exceed exceeds exceeded exceeding surpasses surpassed "
    "reaches reached than equals equal threshold limit value currently actual current approximately"
)
# And after these pairs.
PAIRS = frozenset(
    [("at", "least"), ("at", "most"), ("up", "to"), ("down", "to"), ("equal", "to"), ("close", "to")]
    + [(verb, "to") for verb in _words("dropped rose fell increased decreased grew jumped went climbed sank changed")]
    + [(verb, "by") for verb in _words("dropped rose fell increased decreased grew jumped changed exceeded")]
)
# What can be measured: "value is 5", "rate of 7", "load=3".
MEASURES = _words(
    "value values count total sum rate ratio load cpu usage used free available utilization utilisation latency "
    "duration time delay lag size depth length heap memory mem average avg mean median max min maximum minimum "
    "p50 p75 p90 p95 p99 threshold limit throughput traffic bandwidth temperature errors requests score apdex"
)
COPULAS = _words("is was are were of at reads currently now =")
# State words in front: "[ALERT] …", "Back to normal: …".
STATES = _words("alert alarm triggered firing warning warn critical problem ok normal recovery recovered resolved")
# What only a recovery says; the longest first.
RECOVERIES = (
    ("back", "to", "normal"),
    ("returned", "to", "normal"),
    ("return", "to", "normal"),
    ("back", "to", "ok"),
    ("no", "longer"),
    ("not", "anymore"),
    ("recovered",),
    ("resolved",),
)
RECOVERY_STARTS = frozenset(phrase[0] for phrase in RECOVERIES)
AUXILIARIES = _words("is are was were has have had been being now again currently still")

_DIGIT = re.compile(r"\d")
_SPACED = re.compile(r" ?((?<![-=])>=?|<(?!-)=?|==|!=|[≥≤≠]) ?")
_COMPARING = re.compile("[<>=!≥≤≠]")
_OUTSIDE = "()[]{}\"'‘’“”„«»,;!?*|"
_SIGNS = "-+~≈"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+|\d+(?:[.,]\d+)?)"
_NUMBER = re.compile(rf"[-+~≈]?{_DIGITS}(?:e[-+]?\d+)?")
_SCALED = re.compile(rf"[-+~≈]?{_DIGITS}[kmgtb]")
_WITH_UNIT = re.compile(rf"[-+~≈]?{_DIGITS}(?:[-–]{_DIGITS})?((?:[^\W\d_]|[%‰°/])+)")
_COMPOUND = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[dhms])){2,}")
_PER_TIME = re.compile(r"([^\W\d_]*)/(?:s|sec|second|m|min|minute|h|hr|hour|d|day)")


def without_values(description: str) -> str:
    """Return a text without what differs between an alert and its recovery."""
    text, rest = description[:MAX_TEXT], description[MAX_TEXT:]
    words = text.lower().split()
    if _COMPARING.search(text):
        words = _SPACED.sub(r" \1 ", " ".join(words)).split()
    return " ".join(_named(words[_after_states(words) :])) + rest


def _after_states(words: list[str]) -> int:
    """Return where the text begins after marks and words such as "✅", "[ALERT]", "OK:" and "Back to normal -"."""
    at = 0
    while at < len(words):
        first = _core(words[at])
        length = int(first in STATES)
        if first in RECOVERY_STARTS:
            length = _recovery_at([_core(word) for word in words[at : at + 3]], 0) or length
        end = at + length
        if length and (_is_heading(words[end - 1]) or (end < len(words) and _is_mark(words[end]))):
            at = end
        elif _is_mark(words[at]):
            at += 1
        else:
            break
    return at


def _is_heading(word: str) -> bool:
    return word[:1] == "[" or word[-1:] in (":", "!", "-", "–", "]")


def _is_mark(word: str) -> bool:
    """Whether a word is only a dash, a colon or a picture."""
    if word[:1].isalnum():
        return False
    return all(char in "-–—:•·|*\ufe0f" or unicodedata.category(char) in ("So", "Sk") for char in word[:MAX_WORD])


def _named(words: list[str]) -> list[str]:
    """Replace values; leave out recovery words, the auxiliary verbs around them, and punctuation."""
    # Most words are letters and digits, which is what would be left of them anyway.
    cores = [core for word in words if (core := _core(word)) and (word.isalnum() or not _is_mark(word))]
    named: list[str] = []
    at = 0
    while at < len(cores):
        word = cores[at]
        if word.isalpha() and word not in RECOVERY_STARTS:
            # Most words are just that: neither a value nor the end of a problem.
            if word not in AUXILIARIES:
                named.append(word)
            at += 1
        elif word in RECOVERY_STARTS and (length := _recovery_at(cores, at)):
            at += length
        elif taken := _value_at(cores, at):
            if named[-1:] != [VALUE]:
                named.append(VALUE)
            at += taken
        else:
            if word not in AUXILIARIES:
                named.append(_without_glued_value(word))
            at += 1
    return named


def _recovery_at(cores: list[str], at: int) -> int:
    """Return how many words from here say that the problem is over."""
    return next((len(phrase) for phrase in RECOVERIES if tuple(cores[at : at + len(phrase)]) == phrase), 0)


def _core(word: str) -> str:
    """Return a word without the punctuation around it; a dot or colon in front is part of a name."""
    if word.isalnum():
        return word
    return word.strip(_OUTSIDE).rstrip(".:,;!?").rstrip(_OUTSIDE) or word.strip(_OUTSIDE)


def _value_at(words: list[str], at: int) -> int:
    """Return how many words from here are a value: 0, the number, or the number and its unit."""
    word = words[at]
    if len(word) > MAX_WORD or not _may_be_value(word):
        return 0
    if _NUMBER.fullmatch(word):
        unit = _unit(words[at + 1]) if at + 1 < len(words) else ""
        if unit == "strong" or (unit == "weak" and not _is_named(words, at)):
            return 2
        return int(_is_compared(words, at))
    if _COMPOUND.fullmatch(word) or (_SCALED.fullmatch(word) and _is_compared(words, at)):
        return 1
    glued = _WITH_UNIT.fullmatch(word)
    unit = _unit(glued.group(1)) if glued else ""
    if unit == "weak":
        return int(glued is not None and glued.group(1) != "k" and not _is_named(words, at))
    return int(unit == "strong")


def _may_be_value(word: str) -> bool:
    """Whether a word begins as a number does."""
    return word[0].isdecimal() or (word[0] in _SIGNS and _DIGIT.search(word) is not None)


def _is_named(words: list[str], at: int) -> bool:
    """Whether the word before says that a number is a name."""
    return at > 0 and _last_piece(words[at - 1]) in NAMES


def _unit(word: str) -> str:
    """Say whether a word is a unit: one of measure, one that counts things, or none."""
    if word in UNITS:
        return "strong"
    if word in COUNTED:
        return "weak"
    per_time = _PER_TIME.fullmatch(word[:MAX_WORD])
    if per_time and (not per_time.group(1) or per_time.group(1) in COUNTED):
        return "weak"
    return ""


def _is_compared(words: list[str], at: int) -> bool:
    """Whether a number stands after a comparison, or says what a measure is."""
    one = words[at - 1] if at >= 1 else ""
    two = words[at - 2] if at >= 2 else ""
    if one in COMPARISONS:
        # "port = 8080" names a port; "port > 1024" compares.
        return not (one == "=" and _last_piece(two) in NAMES - MEASURES)
    if (two, one) in PAIRS or (one in COPULAS and _last_piece(two) in MEASURES):
        return True
    # "between 5 and 10", "from 5 to 10" after a verb of change
    if one == "between" or (one == "and" and at >= 3 and words[at - 3] == "between"):
        return True
    return (one == "from" and (two, "to") in PAIRS) or (one == "to" and at >= 4 and (words[at - 4], "to") in PAIRS)


def _without_glued_value(word: str) -> str:
    """Replace the value in "cpu=95" or "load:3.5%"; "shard=5" and "host:8080" are names."""
    if "=" not in word and ":" not in word:
        return word
    sign = "=" if "=" in word else ":"
    name, _, value = word.rpartition(sign)
    if not name or len(word) > 100 or not _DIGIT.search(value):
        return word
    piece = _last_piece(name)
    if _has_unit(value) or (_NUMBER.fullmatch(value) and _is_measured(piece, sign, value)):
        return f"{name}{sign}{VALUE}"
    return word


def _has_unit(value: str) -> bool:
    glued = _WITH_UNIT.fullmatch(value)
    return glued is not None and _unit(glued.group(1)) == "strong"


def _is_measured(piece: str, sign: str, value: str) -> bool:
    if piece in MEASURES:
        return True
    return sign == "=" and piece not in NAMES and not value.isdigit()


def _last_piece(word: str) -> str:
    """Return the last part of a name: "id" of "host.id=", "port" of "(remote_port"."""
    return re.split(r"[._\-#/]", word[-MAX_WORD:].rstrip("=:"))[-1] if word else ""

"""What is wrong, judged from the facts, in words for whoever is on duty at 3 a.m. Pure: no clock, no database."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents.watch.facts import Deliveries, Facts, Waiting
from incidents.watch.models import Pulse, Role
from incidents.watch.pulses import is_silent

LATE = timedelta(seconds=30)
# A recovery that is noticed late wakes nobody.
STALE_LATE = timedelta(minutes=5)
RETENTION_LATE = timedelta(hours=2)
SETTLED = timedelta(seconds=30)
FAILED_SHARE = 0.2
CONNECTIONS_SHARE = 0.8
SKEW = 5.0
REMEMBERED = timedelta(minutes=10)
MB = 1_000_000
DISK_LOW, DISK_EMPTY = 500 * MB, 100 * MB
SLOW_DATABASE = 250.0


@dataclass(frozen=True)
class Problem:
    """Something that should not be. `grave`: pages may not go out, or no event may come in."""

    kind: str
    title: str
    text: str
    advice: str
    grave: bool = False
    # Which of several: a channel, a process.
    subject: str = ""


def judge(facts: Facts) -> list[Problem]:
    """Return what is wrong, the gravest first."""
    found = [problem for look in _LOOKS for problem in look(facts)]
    return sorted(found, key=lambda problem: not problem.grave)


def ago(moment: datetime, now: datetime) -> str:
    """Return how long something has lasted: "45 s", "12 min", "3 h"."""
    seconds = int((now - moment).total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _late_steps(facts: Facts) -> list[Problem]:
    found = []
    if facts.oldest_step and facts.now - facts.oldest_step > LATE:
        found.append(
            Problem(
                "steps-late",
                "Escalations stand still",
                f"A step has been due for {ago(facts.oldest_step, facts.now)}, and nobody takes it: "
                "people who should be paged are not.",
                "Restart the tickers and workers: it is safe at any time, due steps are found again. If it comes "
                "back, look for “tick failed” or a traceback in the log, and for long locks in PostgreSQL "
                "(SELECT * FROM pg_stat_activity WHERE state <> 'idle'). Until then watch the open incidents yourself.",
                grave=True,
            )
        )
    if facts.oldest_stale and facts.now - facts.oldest_stale > STALE_LATE:
        found.append(
            Problem(
                "resolves-late",
                "Incidents are not resolved by themselves",
                f"Auto-resolution is {ago(facts.oldest_stale, facts.now)} late.",
                "Look for tracebacks in the log of the tickers and workers, and restart them.",
            )
        )
    return found


def _late_messages(facts: Facts) -> list[Problem]:
    return [_late_message(facts, row) for row in facts.waiting if facts.now - row.oldest > LATE]


def _late_message(facts: Facts, row: Waiting) -> Problem:
    return Problem(
        "messages-late",
        f"Messages by {row.channel} are late",
        f"{row.count} wait, the longest for {ago(row.oldest, facts.now)}.",
        "If this channel's provider hangs, that holds up only this channel: see its failures below, and ask people to "
        "watch another channel. If all channels are late, restart workers and tickers; that is safe at any time.",
        grave=True,
        subject=row.channel,
    )


def _leases(facts: Facts) -> list[Problem]:
    if not facts.over_leases:
        return []
    return [
        Problem(
            "leases-over",
            "Messages are stuck while being sent",
            f"Whoever was sending {facts.over_leases} of them has died, and nobody took over.",
            "Restart workers and tickers: the messages go out again with the same id.",
        )
    ]


def _untold(facts: Facts) -> list[Problem]:
    if not facts.untold:
        return []
    ids = ", ".join(f"#{pk}" for pk in facts.untold)
    return [
        Problem(
            "untold",
            "Nobody is told about open incidents",
            f"They are pending, nothing is planned, and no message went out: {ids}.",
            "Open each and accept it or tell the right person yourself. Then look at its timeline: most often the "
            "people of its escalation policy have no contact method that works. If the timeline gives no reason, "
            "report it as a bug.",
            grave=True,
        )
    ]


_ABSENT = {
    Role.WEB: (
        "No web process runs",
        "Tools cannot deliver their events, and links in messages do not open. Events that tools repeat come later, "
        "the others are lost.",
        True,
    ),
    Role.WORKER: (
        "No worker runs",
        "The ticker sends what is due by itself, so pages still go out, some seconds late and slowly in a storm.",
        False,
    ),
    Role.TICKER: (
        "No ticker runs",
        "Nothing looks for due steps: escalations stand still, and retries and reminders with them.",
        True,
    ),
}


def _processes(facts: Facts) -> list[Problem]:
    return [problem for role in Role for problem in _of_role(facts, role)]


def _of_role(facts: Facts, role: Role) -> list[Problem]:
    pulses = [pulse for pulse in facts.pulses if pulse.role == role]
    silent = [pulse for pulse in pulses if is_silent(pulse, facts.now)]
    if len(silent) < len(pulses):
        return [_silent(facts, pulse) for pulse in silent]
    if not _settled(facts):
        return []
    title, text, grave = _ABSENT[role]
    last = max((pulse.last_seen_at for pulse in pulses), default=None)
    since = f"The last sign of life was {ago(last, facts.now)} ago. " if last else ""
    return [Problem(f"no-{role.value}", title, since + text, _start_again(facts, role, silent), grave)]


def _settled(facts: Facts) -> bool:
    """Whether the installation has run for long enough that everybody should be there."""
    return not facts.pulses or any(facts.now - pulse.started_at > SETTLED for pulse in facts.pulses)


def _silent(facts: Facts, pulse: Pulse) -> Problem:
    return Problem(
        "silent",
        f"A {pulse.role} process is silent",
        f"{pulse.name} gave its last sign of life {ago(pulse.last_seen_at, facts.now)} ago; others like it work on.",
        f"On {pulse.host}, `kill -9 {pulse.pid}` if it is still there: it is started again, and nothing is lost. If "
        "it was taken away on purpose, this ends by itself after an hour.",
        subject=f"{pulse.role} {pulse.name}",
    )


def _start_again(facts: Facts, role: Role, silent: list[Pulse]) -> str:
    if role == Role.WORKER and facts.broker.error:
        return "The broker cannot be reached, so no worker can hear the bell: mend the broker first."
    if not silent:
        return f"Start a {role.value}: `make up` runs one, or see docs/operations.md for how to run it by itself."
    where = ", ".join(f"`kill -9 {pulse.pid}` on {pulse.host}" for pulse in silent[:3])
    return (
        f"If the process is still there it hangs: {where}; it is started again, and nothing is lost. If it is gone, "
        "start it (`make up`, or your service), and read the end of its log for why it ended."
    )


def _broker(facts: Facts) -> list[Problem]:
    if not facts.broker.error:
        return []
    return [
        Problem(
            "broker",
            "The broker cannot be reached",
            f"It says: {facts.broker.error}. Workers do not hear the bell; the ticker sends what is due by itself, up "
            "to 5 s late, so pages still go out.",
            "Start Valkey or Redis again (`make up` does it by itself; else check REDIS_URL and CELERY_BROKER_URL). "
            "Nothing in it needs to be saved: the database knows what is due.",
        )
    ]


def _failing_channels(facts: Facts) -> list[Problem]:
    return [_failing(row) for row in facts.deliveries if _is_failing(row)]


def _is_failing(row: Deliveries) -> bool:
    """Whether a channel fails: one person's wrong address among many good ones is on that person's profile."""
    return bool(row.answer) and row.failed >= FAILED_SHARE * (row.failed + row.succeeded)


def _failing(row: Deliveries) -> Problem:
    where = {
        "email": "Check the mail server and EMAIL_URL",
        "ntfy": "Check that the ntfy server can be reached from here",
    }.get(row.channel, "Check that the receivers can be reached from here")
    return Problem(
        "channel-failing",
        f"Messages by {row.channel} fail",
        f"{row.failed} of {row.failed + row.succeeded} attempts in the last 10 minutes. The last answer: {row.answer}",
        f"{where}; the answer above is the provider's own. Messages are tried again, and people who have another "
        "contact method are told by that. Until it is mended, add one that works to everybody on call.",
        subject=row.channel,
    )


def _failed_events(facts: Facts) -> list[Problem]:
    if not facts.failed_events or facts.oldest_failed_event is None:
        return []
    return [
        Problem(
            "events-failed",
            "Events could not be applied",
            f"{facts.failed_events} are stored and wait, the oldest for {ago(facts.oldest_failed_event, facts.now)}. "
            "They are tried again by themselves.",
            "Look at each in its source's event log and act on it yourself if it is urgent. The log of the web "
            "processes has the traceback: please report it.",
            grave=True,
        )
    ]


def _database(facts: Facts) -> list[Problem]:
    found = []
    used, most = facts.database.connections, facts.database.max_connections
    if used > CONNECTIONS_SHARE * most:
        found.append(
            Problem(
                "connections",
                "The database is running out of connections",
                f"{used} of {most} are in use. When there are none left, events are answered 503 and pages wait.",
                "Find who holds them: SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2. "
                "Raise max_connections, run fewer processes, or lower ILERT_DATABASE_POOL.",
            )
        )
    if facts.database.milliseconds > SLOW_DATABASE:
        found.append(
            Problem(
                "database-slow",
                "The database answers slowly",
                f"The simplest question took {facts.database.milliseconds:.0f} ms.",
                "Look at the load of its machine and disk, and at what runs: SELECT * FROM pg_stat_activity "
                "WHERE state <> 'idle'.",
            )
        )
    return found


def _disk(facts: Facts) -> list[Problem]:
    if facts.disk_free is None or facts.disk_free >= DISK_LOW:
        return []
    return [
        Problem(
            "disk",
            "The disk is nearly full",
            f"{facts.disk_free // MB} MB are left for the data directory. Without space no event can be stored.",
            "Free some space, or move the data directory to a larger disk (stop, move, set ILERT_DATA_DIR, start).",
            grave=facts.disk_free < DISK_EMPTY,
        )
    ]


def _retention(facts: Facts) -> list[Problem]:
    work = facts.retention
    if work is None or facts.now - work.due_at <= RETENTION_LATE:
        return []
    return [
        Problem(
            "retention",
            "Old raw bodies are not removed",
            f"The removal has been due for {ago(work.due_at, facts.now)}, and the database grows.",
            "The tickers do it: look for tracebacks in their log, and restart them. Only disk is lost meanwhile.",
        )
    ]


def _clocks(facts: Facts) -> list[Problem]:
    living = [pulse for pulse in facts.pulses if not is_silent(pulse, facts.now)]
    found = []
    jumped = [p for p in living if p.clock_jump_at and facts.now - p.clock_jump_at < REMEMBERED]
    if jumped:
        newest = max(jumped, key=lambda pulse: (pulse.clock_jump_at, pulse.pk))
        way = "forward: steps were taken too early" if newest.clock_jump > 0 else "back: steps were taken too late"
        found.append(
            Problem(
                "clock-jump",
                "The database's clock jumped",
                f"By {abs(newest.clock_jump):.0f} s {way}.",
                "Look at the time service (chrony, systemd-timesyncd) of the database's host: it should slew, not "
                "step. This ends by itself 10 minutes after the jump.",
            )
        )
    skewed = {pulse.host: pulse.clock_skew for pulse in living if abs(pulse.clock_skew) > SKEW}
    for host, skew in skewed.items():
        found.append(
            Problem(
                "clock-skew",
                f"The clock of {host} is wrong",
                f"It is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the database's. Paging goes by the "
                "database's clock, but links, sign-in and log lines go by this one.",
                f"Set up time synchronisation on {host}, or on the database's host if that one is wrong.",
                subject=host,
            )
        )
    return found


def _gaps(facts: Facts) -> list[Problem]:
    gaps = [
        (pulse.gap_until, pulse.gap_from)
        for pulse in facts.pulses
        if pulse.gap_from and pulse.gap_until and facts.now - pulse.gap_until < REMEMBERED
    ]
    if not gaps:
        return []
    until, since = max(gaps)
    return [
        Problem(
            "gap",
            "Nothing looked for due steps for a while",
            f"From {since:%H:%M:%S} to {until:%H:%M:%S} UTC ({ago(since, until)}) no ticker could work. What came due "
            "then went out afterwards.",
            "Look at what happened on the machine and in PostgreSQL's log at that time. A second ticker on another "
            "machine keeps paging while one is away. This ends by itself after 10 minutes.",
        )
    ]


_LOOKS = (
    _late_steps,
    _late_messages,
    _untold,
    _processes,
    _failed_events,
    _failing_channels,
    _broker,
    _leases,
    _database,
    _disk,
    _retention,
    _clocks,
    _gaps,
)

"""The auditor: once a minute, over all tickers, it looks for what should not be and keeps it as findings."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import perf_counter

from django.db import transaction
from django.db.models import Q

from incidents.watch import facts as looking
from incidents.watch.facts import Facts
from incidents.watch.judge import Problem, judge
from incidents.watch.models import Audit, Finding
from incidents.watch.pulses import forget_replaced
from incidents.watch.untold import untold

logger = logging.getLogger(__name__)

INTERVAL = timedelta(minutes=1)
TELL_AGAIN = timedelta(hours=1)
KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Report:
    """What an audit leaves to do: findings to tell the admins, and ones to tell that they are over."""

    now: datetime
    tell: list[Finding]
    over: list[Finding]
    grave: bool


def claim(now: datetime) -> bool:
    """Whether this minute's audit is the caller's."""
    Audit.objects.get_or_create(pk=1)
    due = Q(started_at__isnull=True) | Q(started_at__lte=now - INTERVAL)
    # A clock that was set back must not silence the auditor.
    due |= Q(started_at__gt=now + INTERVAL)
    return Audit.objects.filter(due, pk=1).update(started_at=now) == 1


def audit(now: datetime, collect: Callable[[datetime], Facts] = looking.collect) -> Report:
    """Look at everything, keep what is found, and say what is to be told."""
    started = perf_counter()
    forget_replaced(now)
    row, _ = Audit.objects.get_or_create(pk=1)
    facts = replace(collect(now), untold=untold(now, row))
    report = record(judge(facts), now)
    row.finished_at = now
    row.milliseconds = round((perf_counter() - started) * 1000)
    row.save(update_fields=["finished_at", "milliseconds", "untold_cursor"])
    return report


@transaction.atomic
def record(problems: list[Problem], now: datetime) -> Report:
    """Open, renew and close findings, so that they say what `problems` says."""
    before = {(row.kind, row.subject): row for row in Finding.objects.select_for_update().filter(closed_at=None)}
    still = [_keep(before.pop((problem.kind, problem.subject), None), problem, now) for problem in problems]
    for finding in before.values():
        finding.closed_at = now
        finding.save(update_fields=["closed_at"])
        logger.warning("over: %s (%s)", finding.title, finding.kind)
    Finding.objects.filter(closed_at__lt=now - KEPT).delete()
    return Report(
        now=now,
        tell=[finding for finding in still if _is_to_be_told(finding, now)],
        over=[finding for finding in before.values() if finding.told_at],
        grave=any(finding.grave for finding in still),
    )


def _keep(finding: Finding | None, problem: Problem, now: datetime) -> Finding:
    if finding is None:
        finding = Finding(kind=problem.kind, subject=problem.subject, opened_at=now)
        logger.error("found: %s. %s (%s)", problem.title, problem.text, problem.kind)
    finding.grave = problem.grave
    finding.title, finding.text, finding.advice = problem.title, problem.text, problem.advice
    finding.seen_at = now
    finding.save()
    return finding


def _is_to_be_told(finding: Finding, now: datetime) -> bool:
    """Once; a grave one every hour. What comes and goes is told once an hour."""
    if finding.told_at:
        return finding.grave and finding.told_at <= now - TELL_AGAIN
    told = Finding.objects.filter(kind=finding.kind, subject=finding.subject, told_at__gt=now - TELL_AGAIN)
    return not told.exists()


def mark_told(findings: list[Finding], now: datetime) -> None:
    Finding.objects.filter(pk__in=[finding.pk for finding in findings]).update(told_at=now)

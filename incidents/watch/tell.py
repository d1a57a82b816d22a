"""Telling the admins by a direct path: straight through the channels, not by the outbox that may be what is broken."""

import logging
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from django.db import connection
from django.urls import reverse

from accounts.models import Role
from ilert.common.links import absolute
from incidents.watch.auditor import Report
from incidents.watch.models import Finding
from notifications.channels import Channel, Link, Message
from notifications.models import ContactMethod

logger = logging.getLogger(__name__)

SENDERS = 4


@dataclass(frozen=True)
class Way:
    """How an admin is reached, kept in memory: when the database is away it cannot be asked."""

    name: str
    channel: Channel
    address: str
    secret: str


def ways() -> list[Way]:
    """Return all ways to reach the admins, each address once."""
    methods = ContactMethod.objects.verified().filter(user__role=Role.ADMIN, user__is_active=True, rules__isnull=False)
    found = {
        (method.channel, method.address): Way(
            f"{method.user} by {method.channel}", method.channel_type, method.address, method.secret
        )
        for method in methods.select_related("user").distinct()
    }
    return list(found.values())


def about(report: Report) -> Message | None:
    """Return what the admins are told after an audit, if anything."""
    if not report.tell and not report.over:
        return None
    grave = any(finding.grave for finding in report.tell)
    parts = [_found(finding) for finding in report.tell] + [f"Over: {finding.title}." for finding in report.over]
    first = report.tell[0].title if report.tell else f"Over: {report.over[0].title}"
    others = len(report.tell) + len(report.over) - 1
    return _message(f"ilert itself: {first}" + (f" (and {others} more)" if others else ""), "\n\n".join(parts), grave)


def about_database(error: str, seconds: float) -> Message:
    return _message(
        "ilert itself: the database cannot be used",
        f"For {seconds:.0f} s: {error}\n\nNo event can be stored (tools are answered 503) and nobody is paged.\n\n"
        "What to do: see that PostgreSQL runs, that its disk is not full, and that DATABASE_URL is right. Everything "
        "goes on by itself when it is back.",
        urgent=True,
    )


def _found(finding: Finding) -> str:
    return f"{finding.title}. {finding.text}\n\nWhat to do: {finding.advice}"


def _message(title: str, text: str, urgent: bool) -> Message:
    link = Link("Open the system page", absolute(reverse("system")))
    return Message(id=str(uuid.uuid4()), title=title, text=text, urgent=urgent, link=link)


def send(message: Message, to: list[Way]) -> bool:
    """Send to all at the same time, within the channels' time limit. Returns whether anybody could be told."""
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="tell") as pool:
        sent: list[Future[bool]] = [pool.submit(_send, message, way) for way in to]
    return any(one.result() for one in sent)


def _send(message: Message, way: Way) -> bool:
    try:
        answer = way.channel.send(way.address, way.secret, message)
    except Exception as error:
        # One dead channel must not keep the others from being tried; it may be what the message is about.
        logger.error("telling %s failed: %s", way.name, error)
        return False
    finally:
        connection.close()
    logger.info("told %s: %s", way.name, answer)
    return True

"""Accepting and resolving race with senders, in real threads on a real database."""

import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from alertsources.services import create_source
from ilert.common.clock import database_now
from incidents import services
from incidents.engine import delivery, escalation
from incidents.engine.bell import Bell
from incidents.intake.receive import receive
from incidents.models import Incident
from integrations import Payload
from notifications import channels
from notifications.channels import Channel, Message
from notifications.claims import SLOTS
from notifications.models import Notification
from notifications.services import create_contact_method
from oncall.services import create_policy_asking

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 10
# More than are claimed at one time, so that a deed can fall between those of one incident.
METHODS = 2 * SLOTS
SENDERS = 3
# The whole of a round's messages takes about as long, so a deed falls anywhere into it.
ROUND = 0.4
# What the contract gives a message that was on its way when somebody accepted.
GRACE = 1.0
WIPE = (
    "TRUNCATE incidents_event, incidents_logentry, incidents_incident, incidents_searchentry, "
    "notifications_notification CASCADE"
)


@dataclass
class Story:
    """When messages started and deeds were answered, by the marks in the incidents' summaries."""

    started: list[tuple[float, str, str]] = field(default_factory=list)
    answered: dict[str, tuple[float, str]] = field(default_factory=dict)

    def told_too_late(self) -> list[str]:
        found = []
        for at, mark, title in self.started:
            answered_at, deed = self.answered.get(mark, (at, ""))
            is_notice = deed == "resolve" and title.startswith("Resolved")
            if at - answered_at > GRACE and not is_notice:
                found.append(f"“{title}” started {at - answered_at:.3f} s after the {deed} was answered")
        return found


class Recorder(Channel):
    slug, name, icon = "recorder", "Recorder", "circle"

    def __init__(self, story: Story) -> None:
        self.story = story

    def send(self, address: str, secret: str, message: Message) -> str:
        started_at = time.monotonic()
        for mark in re.findall(r"\bnr (\d+)\b", f"{message.title}\n{message.text}"):
            self.story.started.append((started_at, mark, message.title))
        time.sleep(random.uniform(0, 0.02))
        return "taken"


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    story = Story()
    monkeypatch.setitem(channels.ALL, "recorder", Recorder(story))
    monkeypatch.setattr(Bell, "ring", lambda bell: None)
    return story


@pytest.fixture
def keys(story: Story, transactional_db: None) -> list[str]:
    """The integration keys of sources that each ask a person of their own, by several methods."""
    keys = []
    for number in range(PEOPLE):
        person = User.objects.create_user(f"person-{number}@example.org", name=f"Person {number}")
        person.contact_methods.all().delete()
        for method in range(METHODS):
            create_contact_method(person, "recorder", f"{number}-{method}", verified_at=database_now())
        policy = create_policy_asking(f"policy {number}", person)
        keys.append(create_source(f"source {number}", "API", policy).integration_key)
    return keys


def dawdle(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    """Threads pass each other between any two statements, not only where the scheduler happens to switch."""
    if random.random() < 0.3:
        time.sleep(random.uniform(0, 0.005))
    return execute(sql, params, many, context)


def send(stop: threading.Event) -> None:
    try:
        with connection.execute_wrapper(dawdle):
            while not stop.is_set():
                if not delivery.deliver_due():
                    stop.wait(0.01)
    finally:
        connection.close()


def act(story: Story, incident: Incident) -> None:
    """Accept or resolve at some moment of the round, and note when that was answered."""
    deed = random.choice(("accept", "resolve"))
    verb = services.accept if deed == "accept" else services.resolve
    try:
        time.sleep(random.uniform(0, ROUND))
        with connection.execute_wrapper(dawdle):
            assert verb(incident.pk, None, database_now()).changed
        story.answered[incident.summary.split()[-1]] = (time.monotonic(), deed)
    finally:
        connection.close()


def open_incidents(keys: list[str], first: int) -> list[Incident]:
    for number, key in enumerate(keys, start=first):
        body = f'{{"eventType": "ALERT", "alertKey": "{number}", "summary": "nr {number}"}}'.encode()
        assert receive("api", key, "POST", Payload(body)).status == 200
    return list(Incident.objects.filter(status=1))


def play_round(story: Story, keys: list[str], first: int) -> None:
    incidents = open_incidents(keys, first)
    escalation.escalate_due(database_now)
    stop = threading.Event()
    with ThreadPoolExecutor(SENDERS + len(incidents)) as threads:
        senders = [threads.submit(send, stop) for _ in range(SENDERS)]
        deeds = [threads.submit(act, story, incident) for incident in incidents]
        for one in deeds:
            one.result()
        # Whatever would still go out gets the time to do so, and to be seen.
        deadline = time.monotonic() + 2 * GRACE + 10
        while Notification.objects.filter(state__in=["planned", "sending"]).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        stop.set()
        for one in senders:
            one.result()
    assert not Notification.objects.filter(state__in=["planned", "sending"]).exists()
    with connection.cursor() as cursor:
        cursor.execute(WIPE)


def play(story: Story, keys: list[str], rounds: int) -> None:
    played = 0
    # Rounds show nothing if no deed falls between the messages of its incident: then there are more.
    while played < rounds or (not cut_short(story) and played < 5 * rounds):
        play_round(story, keys, played * PEOPLE)
        played += 1
    assert len(story.answered) == played * PEOPLE
    assert story.told_too_late() == []
    assert cut_short(story)


def cut_short(story: Story) -> list[str]:
    """Return the incidents that were accepted or resolved when some of their messages had gone out and others not."""
    before = {mark for at, mark, _ in story.started if at < story.answered[mark][0]}
    return [mark for mark in before if len([one for one in story.started if one[1] == mark]) < METHODS]


def test_nothing_starts_after_an_accept_or_resolve(story: Story, keys: list[str]) -> None:
    play(story, keys, rounds=4)


@pytest.mark.model
def test_nothing_starts_after_a_thousand_accepts_and_resolves(story: Story, keys: list[str]) -> None:
    play(story, keys, rounds=1000 // PEOPLE)

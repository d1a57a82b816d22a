"""What belongs to another team is nowhere to be seen, except by those who are asked about it."""

import pytest
from django.db import connection
from django.db.models import ProtectedError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Role, Team, User
from alertsources.models import AlertSource
from alertsources.services import create_source
from incidents import bulk, lifecycle, search, services
from incidents.engine.escalation import escalate_due
from incidents.listing import Filters
from incidents.live import View
from incidents.models import Incident, Scope, Status
from incidents.timeline import Kind, entry, section
from incidents.trial import send_test_event
from oncall.models import EscalationPolicy
from tests.conftest import NOW

# Ways that tell of an incident's timeline, and how each writes the sign before its number.
MARKS = {"incident-detail": "#", "incident-timeline": "\\#", "rest-incident-log-entries": "#"}


@pytest.fixture
def dora(db: None) -> User:
    """Member of Red."""
    dora = User.objects.create_user("dora@example.org", "dora-password", name="Dora", role=Role.MEMBER)
    Team.objects.create(name="Red").members.add(dora)
    return dora


@pytest.fixture
def as_dora(client: Client, dora: User) -> Client:
    client.force_login(dora)
    return client


@pytest.fixture
def blue(bob: User) -> Team:
    team = Team.objects.create(name="Blue")
    team.members.add(bob)
    return team


@pytest.fixture
def secret(blue: Team, policy: EscalationPolicy, alice: User) -> Incident:
    """An incident of a source of Blue."""
    source = create_source("Vault of Blue", "SEMATEXT", policy)
    AlertSource.objects.filter(pk=source.pk).update(team=blue)
    return send_test_event(source, alice, NOW)


@pytest.fixture
def common(source: AlertSource, alice: User) -> Incident:
    """An incident of a source that is everyone's."""
    return send_test_event(source, alice, NOW)


@pytest.mark.parametrize("name", ["incident-list", "incident-rows", "incident-export", "source-list", "incident-new"])
@pytest.mark.parametrize("query", ["", "?tab=all", "?q=Vault"])
def test_pages_of_many_leave_it_out(
    as_dora: Client, bob: User, secret: Incident, common: Incident, name: str, query: str
) -> None:
    search.add_new()

    def page() -> str:
        return as_dora.get(reverse(name) + query).content.decode()

    assert "Vault of Blue" not in page()
    as_dora.force_login(bob)
    assert "Vault of Blue" in page()


def test_live_list_leaves_it_out(dora: User, bob: User, secret: Incident, common: Incident) -> None:
    def rows(viewer: User) -> list[int]:
        return [row.pk for row in View(Filters(scope=Scope.of(viewer)), "UTC").read().rows]

    assert rows(dora) == [common.pk]
    assert rows(bob) == [common.pk, secret.pk]


def test_many_at_once_do_not_touch_it(dora: User, secret: Incident, common: Incident) -> None:
    results = bulk.do_all(services.accept_all, [secret.pk, common.pk, 10**9], dora, NOW)

    assert [(result.incident_id, result.changed) for result in results] == [
        (secret.pk, False),
        (common.pk, True),
        (10**9, False),
    ]
    assert results[0].text == results[2].text
    assert not results[0].summary
    secret.refresh_from_db()
    assert secret.status == Status.PENDING


def test_state_of_its_source_is_not_told(as_dora: Client, secret: Incident) -> None:
    page = as_dora.get(reverse("source-states"), {"ids": str(secret.alert_source_id)}).content.decode()

    assert f"{secret.alert_source_id}" not in page


def test_another_incident_is_not_merged_into_it(as_dora: Client, secret: Incident, common: Incident) -> None:
    as_dora.post(reverse("incident-merge", args=[common.pk]), {"into": str(secret.pk)})

    common.refresh_from_db()
    assert common.merged_into_id is None


def test_a_part_of_another_team_is_not_told_on_the_page_of_the_whole(
    as_dora: Client, bob: User, secret: Incident, common: Incident
) -> None:
    lifecycle.merge(secret.pk, common.pk, bob, NOW)

    told = telling(as_dora, common)
    assert all(f"{mark}{secret.pk} was merged into this one" in told[name] for name, mark in MARKS.items())
    assert not [name for name, text in told.items() if secret.summary in text]
    as_dora.force_login(bob)
    assert not [name for name, text in telling(as_dora, common).items() if secret.summary not in text]


def test_a_part_that_gets_a_team_later_is_not_told_any_more(
    as_dora: Client, blue: Team, alice: User, bob: User, source: AlertSource, common: Incident
) -> None:
    later = create_source("Soon of Blue", "SEMATEXT", source.escalation_policy)
    part = send_test_event(later, alice, NOW)
    Incident.objects.filter(pk=part.pk).update(summary="Keys of the vault are gone")
    part.refresh_from_db()
    lifecycle.merge(part.pk, common.pk, bob, NOW)
    # As it was written once: the database lets nobody change an entry.
    entry(common, Kind.MERGED_HERE, NOW, actor=bob, number=part.pk, detail=part.summary).save()
    assert not [name for name, text in telling(as_dora, common).items() if part.summary not in text]

    AlertSource.objects.filter(pk=later.pk).update(team=blue)

    assert not [name for name, text in telling(as_dora, common).items() if part.summary in text]


def telling(client: Client, incident: Incident) -> dict[str, str]:
    """Return what is told of an incident, by the name of the way."""
    return {name: client.get(reverse(name, args=[incident.pk])).content.decode() for name in MARKS}


def test_parts_on_a_timeline_are_looked_up_together(bob: User, dora: User, source: AlertSource) -> None:
    whole, *parts = (send_test_event(source, bob, NOW) for _ in range(5))
    for part in parts:
        lifecycle.merge(part.pk, whole.pk, bob, NOW)

    with CaptureQueriesContext(connection) as queries:
        lines = section(whole, "deeds", viewer=dora).items

    assert [line.detail for line in lines if line.kind == Kind.MERGED_HERE] == [part.summary for part in parts]
    # Entries, events, what is hidden, and the parts.
    assert len(queries) <= 4


def test_an_incident_is_not_given_to_a_policy_of_another_team(
    as_dora: Client, blue: Team, common: Incident, policy: EscalationPolicy
) -> None:
    hidden = EscalationPolicy.objects.create(name="Blue only", team=blue)

    as_dora.post(reverse("incident-assign", args=[common.pk]), {"to": f"policy:{hidden.pk}"})

    common.refresh_from_db()
    assert common.escalation_policy_id == policy.pk


def test_whoever_is_asked_sees_it(as_dora: Client, dora: User, secret: Incident) -> None:
    address = reverse("incident-detail", args=[secret.pk])
    assert as_dora.get(address).status_code == 404
    assert secret.run is not None
    secret.run["rules"].append({"minutes": 5, "users": [dora.pk]})
    secret.save()

    assert as_dora.get(address).status_code == 200
    assert "Vault of Blue" in as_dora.get(reverse("incident-list")).content.decode()
    # Its source stays the team's.
    assert as_dora.get(reverse("source-detail", args=[secret.alert_source_id])).status_code == 404


def test_whoever_is_given_it_sees_it(as_dora: Client, dora: User, secret: Incident) -> None:
    secret.responder = dora
    secret.save()

    assert as_dora.get(reverse("incident-detail", args=[secret.pk])).status_code == 200


def test_whoever_was_told_sees_it(as_dora: Client, dora: User, source: AlertSource, blue: Team) -> None:
    incident = send_test_event(source, dora, NOW)
    escalate_due(lambda: NOW)
    Incident.objects.filter(pk=incident.pk).update(run=None)
    source.team = blue
    source.save()

    assert as_dora.get(reverse("incident-detail", args=[incident.pk])).status_code == 200


def test_where_nothing_is_hidden_lists_are_not_narrowed(bob: User, dora: User, secret: Incident) -> None:
    assert Scope.of(bob) is None
    assert Scope.of(dora) is not None
    with CaptureQueriesContext(connection) as queries:
        list(Filters(scope=Scope.of(bob)).incidents())

    assert "alert_source_id" not in queries.captured_queries[-1]["sql"].partition("WHERE")[2]
    assert len(queries) == 2


def test_a_team_that_owns_something_is_not_deleted(secret: Incident, blue: Team) -> None:
    with pytest.raises(ProtectedError):
        blue.delete()

"""The page of an incident: what its timeline shows, how it reads, and its place in the list."""

import asyncio
import re
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from alertsources.models import AlertSource
from ilert.common.clock import database_now
from incidents import lifecycle, live, services
from incidents.engine import escalation
from incidents.fields import Field, readable
from incidents.live_detail import Watch, fingerprints
from incidents.models import Event, Incident, Outcome
from incidents.timeline import section
from tests.incidents.test_pages import open_incident

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def incident(source: AlertSource, alice: User) -> Incident:
    """Opened by an event, one level asked, one person told, accepted, and talked about."""
    incident = open_incident(source, "disk of web-1 full")
    escalation.escalate_due(database_now)
    services.accept(incident.pk, alice, database_now())
    lifecycle.comment(incident.pk, "Cleaned **/var**, see <script>x</script>", alice, database_now())
    return Incident.objects.get(pk=incident.pk)


def lines(page: str) -> list[str]:
    return re.findall(r'<span class="entry-text">(.*?)</span>', page)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("show", "expected"),
    [
        ("events", ["Alert received, incident opened"]),
        ("steps", ["Level 1 asked: Alice"]),
        ("comments", ["Commented"]),
        ("deeds", ["Accepted"]),
        ("nonsense", ["Commented", "Accepted", "Alice need", "Level 1 asked: Alice", "Alert received"]),
    ],
)
def test_the_timeline_shows_one_kind_or_all(
    as_alice: Client, incident: Incident, show: str, expected: list[str]
) -> None:
    shown = lines(as_alice.get(f"/incidents/{incident.pk}/?show={show}").text)
    assert len(shown) == len(expected)
    assert all(line.startswith(start) for line, start in zip(shown, expected, strict=True))
    assert len(lines(as_alice.get(f"/incidents/{incident.pk}/?show=notifications").text)) == 1


@pytest.mark.django_db
def test_a_long_timeline_comes_page_by_page(as_alice: Client, incident: Incident) -> None:
    Event.objects.bulk_create(
        Event(alert_source_id=incident.alert_source_id, incident=incident, outcome=Outcome.APPENDED) for _ in range(120)
    )
    every = [item.id for item in section(incident, size=500).items]
    assert len(every) == 125
    before, seen = "", []
    for _ in range(3):
        page = as_alice.get(f"/incidents/{incident.pk}/?before={before}").context["section"]
        seen += [item.id for item in page.items]
        before = page.next
    assert (seen, before) == (every, "")


@pytest.mark.django_db
def test_details_and_comments_are_markdown_that_does_no_harm(as_alice: Client, incident: Incident) -> None:
    Incident.objects.filter(pk=incident.pk).update(details="See [runbook](https://example.org) <img src=x>")
    page = as_alice.get(incident.get_absolute_url()).text
    assert '<a href="https://example.org" rel="noopener noreferrer nofollow">runbook</a>' in page
    assert "Cleaned <strong>/var</strong>" in page
    assert "<script>x" not in page
    assert "<img src=x" not in page


def test_fields_are_readable() -> None:
    sent = {
        "labels": {"host": "web-1", "up": False}, "runs": [1, 2], "parts": [{"id": 7}, {"id": None}],
        "url": "https://example.org/x", "script": "javascript:alert(1)", "empty": "",
    }  # fmt: skip
    fields = readable(sent)
    assert [(field.name, field.value) for field in fields] == [
        ("labels.host", "web-1"), ("labels.up", "no"), ("runs", "1, 2"), ("parts 1.id", "7"),
        ("url", "https://example.org/x"), ("script", "javascript:alert(1)"),
    ]  # fmt: skip
    assert [field.name for field in fields if field.is_link] == ["url"]
    assert len(readable({str(number): number for number in range(1, 500)})) == 100
    assert not Field("x", "https://").is_link


@pytest.mark.django_db
def test_it_can_be_taken_away_as_markdown(as_alice: Client, incident: Incident) -> None:
    Incident.objects.filter(pk=incident.pk).update(summary="Disk *full* <b>", details="one\ntwo # three")
    response = as_alice.get(f"/incidents/{incident.pk}/timeline.md")
    assert response.headers["Content-Disposition"] == f'attachment; filename="incident-{incident.pk}.md"'
    text = response.text
    assert text.startswith(f"# \\#{incident.pk} Disk \\*full\\* \\<b\\>\n")
    assert "> one\n> two \\# three\n" in text
    order = [text.index(words) for words in ("Alert received", "Level 1 asked", "Accepted (Alice)", "Commented")]
    assert order == sorted(order)


@pytest.mark.django_db
def test_its_neighbours_are_those_of_the_list_it_was_opened_from(as_alice: Client, source: AlertSource) -> None:
    oldest, middle, queue, newest = (
        open_incident(source, f"{name} full") for name in ("disk a", "disk b", "queue", "disk c")
    )
    services.resolve(oldest.pk, None, database_now())

    def beside(query: str) -> tuple[int | None, int | None]:
        found = as_alice.get(f"/incidents/{middle.pk}/{query}").context["neighbours"]
        return found.newer, found.older

    assert beside("") == (queue.pk, None)
    assert beside("?in=tab%3Dall") == (queue.pk, oldest.pk)
    assert beside("?in=tab%3Dall%26priority%3Dlow") == (None, None)
    page = as_alice.get(f"/incidents/{middle.pk}/?in=tab%3Dall%26q%3Ddisk").text
    assert 'href="/incidents/?tab=all&amp;q=disk"' in page
    page = as_alice.get(f"/incidents/{middle.pk}/?in=tab%3Dall").text
    assert f'href="/incidents/{oldest.pk}/?in=tab%3Dall"' in page
    assert newest.pk != queue.pk


@pytest.mark.django_db
def test_a_deed_leads_back_to_the_same_place_in_the_list(as_alice: Client, incident: Incident) -> None:
    referer = f"http://testserver/incidents/{incident.pk}/?in=tab%3Dall&show=deeds"
    response = as_alice.post(f"/incidents/{incident.pk}/resolve", headers={"Referer": referer})
    assert response.headers["Location"] == f"/incidents/{incident.pk}/?in=tab%3Dall"


def test_whatever_a_client_writes_as_referer_a_deed_is_done(as_alice: Client, incident: Incident) -> None:
    response = as_alice.post(f"/incidents/{incident.pk}/accept", headers={"Referer": "http://[x/?in=tab%3Dall#y"})
    assert (response.status_code, response["Location"]) == (302, f"/incidents/{incident.pk}/?in=tab%3Dall")


@pytest.mark.django_db
def test_what_else_is_open_there_is_shown(as_alice: Client, source: AlertSource, incident: Incident) -> None:
    other = open_incident(source, "memory of web-2 full")
    page = as_alice.get(incident.get_absolute_url())
    assert [one.pk for one in page.context["related"]] == [other.pk]
    services.resolve(other.pk, None, database_now())
    assert as_alice.get(incident.get_absolute_url()).context["related"] == []


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["show=%00", "before=x", f"before={'9' * 5000}", "in=%00", "in=since%3Dx&show=deeds"])
def test_no_address_is_an_error_of_ours(as_alice: Client, incident: Incident, query: str) -> None:
    assert as_alice.get(f"/incidents/{incident.pk}/?{query}").status_code == 200


@pytest.mark.django_db
def test_everything_that_happens_is_news(incident: Incident, alice: User) -> None:
    known = [fingerprints([incident.pk])[incident.pk]]
    for happen in (
        lambda: incident.events.create(alert_source=incident.alert_source, outcome=Outcome.APPENDED),
        lambda: lifecycle.comment(incident.pk, "Looking", alice, database_now()),
        lambda: (
            incident.log_entries.exclude(notification=None)
            .get()
            .notification.__class__.objects.update(answered_at=timezone.now())
        ),
        lambda: services.resolve(incident.pk, alice, database_now()),
    ):
        happen()
        known.append(fingerprints([incident.pk])[incident.pk])
    assert len(set(known)) == 5
    assert fingerprints([incident.pk, 10**9]) == {incident.pk: known[-1]}


@pytest.mark.django_db
def test_the_end_of_the_undo_is_news(
    as_alice: Client, incident: Incident, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.resolve(incident.pk, alice, database_now())
    page = as_alice.get(incident.get_absolute_url())
    assert "Undo resolve" in page.text
    version = page.context["version"]
    assert as_alice.get(f"/incidents/{incident.pk}/?version={version}", **HTMX).status_code == 204
    for module in ("live_detail", "views.pages"):
        monkeypatch.setattr(f"incidents.{module}.UNDO", timedelta(0))
    assert "Undo resolve" not in as_alice.get(f"/incidents/{incident.pk}/?version={version}", **HTMX).text
    assert as_alice.get(f"/incidents/{incident.pk}/?version={version}", **HTMX).status_code == 200


@pytest.mark.django_db
def test_every_button_of_the_part_that_changes_keeps_the_focus(
    as_alice: Client, source: AlertSource, incident: Incident
) -> None:
    """By its id htmx finds again what had the focus."""
    Incident.objects.filter(pk=open_incident(source, "disk of web-2 full").pk).update(priority="low")
    for one in Incident.objects.all():
        for _ in range(2):
            page = as_alice.get(one.get_absolute_url(), **HTMX).text
            buttons = re.findall(r"<button[^>]*>", page)
            assert len(buttons) > 2
            assert all(" id=" in button for button in buttons)
            services.resolve(one.pk, None, database_now())


@pytest.mark.django_db
def test_looking_again_for_nothing_costs_next_to_nothing(as_alice: Client, incident: Incident) -> None:
    version = as_alice.get(incident.get_absolute_url()).context["version"]
    with CaptureQueriesContext(connection) as counted:
        response = as_alice.get(f"/incidents/{incident.pk}/?version={version}", **HTMX)
    assert response.status_code == 204
    # Session, person, what may be seen, and the look itself.
    assert len(counted) <= 5


@pytest.mark.parametrize("version", ["x\n\nevent: changed\ndata: y", "0" * 31, "0" * 32 + "\n", "A" * 32, "<b>"])
def test_what_a_client_says_that_it_shows_is_not_told_to_others(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    async def no_look(watch: Watch) -> None:
        """Nothing is known yet but what the clients have said."""

    monkeypatch.setattr(Watch, "_run", no_look)

    async def story() -> None:
        watch = Watch()
        first, second = watch.follow(1, version, lambda: True), watch.follow(1, "0" * 32, lambda: True)
        assert (await anext(first)).startswith("retry:")
        assert (await anext(second)).startswith("retry:")
        assert await anext(second) == "event: changed\ndata: \n\n"
        await first.aclose()
        await second.aclose()

    asyncio.run(asyncio.wait_for(story(), 20))


@pytest.mark.django_db(transaction=True)
def test_open_pages_are_told_and_nobody_s_leaving_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, source: AlertSource, alice: User
) -> None:
    monkeypatch.setattr(live, "INTERVAL", 0.05)

    async def changed(events: object) -> str:
        async for event in events:  # type: ignore[attr-defined]
            if event.startswith("event: changed"):
                return str(event)
        raise AssertionError("the stream has ended")

    async def story() -> None:
        watch = Watch()
        incident = await sync_to_async(open_incident)(source, "disk of web-1 full")
        version = (await live.in_thread(lambda: fingerprints([incident.pk])))[incident.pk]
        pages = [watch.follow(incident.pk, version, lambda: True) for _ in range(20)]
        waiting = [asyncio.create_task(changed(page)) for page in pages]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in waiting)
        now = await sync_to_async(database_now)()
        await sync_to_async(services.accept)(incident.pk, alice, now)
        assert len(set(await asyncio.gather(*waiting))) == 1
        # Whoever comes with what is old is told at once.
        late = watch.follow(incident.pk, version, lambda: True)
        await changed(late)
        for page in (*pages, late):
            await page.aclose()
        assert watch._pages == watch._known == {}
        await asyncio.sleep(0.2)
        assert watch._task is not None
        assert watch._task.done()

    asyncio.run(asyncio.wait_for(story(), 20))

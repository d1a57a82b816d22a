"""Searching incidents: what people type finds what tools wrote."""

import pytest

from alertsources.models import AlertSource
from ilert.common.text import clean
from incidents import search
from incidents.models import Incident, SearchEntry
from incidents.search import matching
from incidents.services import resolve
from tests.incidents.test_pages import open_incident

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    made = open_incident(source, "Disk of web-1.example.com above 95 % on /var/lib – Größe: 40GB")
    assert search.add_new() == 1
    return made


@pytest.mark.parametrize(
    "words",
    [
        "disk", "DISK", "dis", "web-1", "web-1.example.com", "example", "exam",
        "/var/lib", "var/lib", "95 %", "größe", "GRÖ",
        "disk web", "40gb", "  disk \t of ", "disk & web | ! ( ) : * ' \\", "'disk'",
    ],
)  # fmt: skip
def test_words_find_the_incident(incident: Incident, words: str) -> None:
    assert list(Incident.objects.filter(matching(words))) == [incident]


@pytest.mark.parametrize(
    "words", ["memory", "disk memory", "web-2", "lib/var", "isk", "<script>disk", "%", "' ! & |", "", "😀"]
)
def test_other_words_do_not(incident: Incident, words: str) -> None:
    assert list(Incident.objects.filter(matching(words))) == []


@pytest.mark.parametrize("form", ["{}", "#{}", " {} "])
def test_a_number_finds_the_incident_with_it(incident: Incident, form: str) -> None:
    assert incident in Incident.objects.filter(matching(form.format(incident.pk)))


@pytest.mark.parametrize("words", ["9" * 18, "9" * 19, "x" * 5000, "zq " * 500, "\x00", "\ud800", "1e400", "NaN"])
def test_nothing_that_is_typed_breaks_it(incident: Incident, words: str) -> None:
    assert list(Incident.objects.filter(matching(clean(words)))) == []


def test_what_changes_later_is_found_too(incident: Incident, now) -> None:
    resolve(incident.pk, None, now)
    assert list(Incident.objects.filter(matching("disk"), status=3)) == [incident]


def test_new_incidents_are_added_in_batches_and_stragglers_too(source: AlertSource, monkeypatch) -> None:
    monkeypatch.setattr(search, "BATCH", 2)
    for name in ("one", "two", "three"):
        open_incident(source, f"load of host {name}")
    assert (search.any_new(), search.add_new()) == (True, 2)
    assert (search.any_new(), search.add_new()) == (True, 1)
    assert (search.any_new(), search.add_new()) == (False, 0)
    # One whose number was drawn first, and whose transaction ended last.
    late = Incident.objects.filter(matching("one")).get()
    SearchEntry.objects.filter(incident=late).delete()
    assert search.add_new() == 1
    assert Incident.objects.filter(matching("load")).count() == 3


def test_the_number_is_one_condition_with_the_words(incident: Incident, source: AlertSource) -> None:
    other = open_incident(source, f"port {incident.pk} closed")
    search.add_new()
    assert set(Incident.objects.filter(matching(str(incident.pk)))) == {incident, other}

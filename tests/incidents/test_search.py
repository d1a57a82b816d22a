"""Searching incidents: what people type finds what tools wrote."""

import pytest

from alertsources.models import AlertSource
from ilert.common.text import clean
from incidents.models import Incident
from incidents.search import matching
from incidents.services import resolve
from tests.incidents.test_pages import open_incident

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(source: AlertSource) -> Incident:
    return open_incident(source, "Disk of web-1.example.com above 95 % on /var/lib – Größe: 40GB")


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

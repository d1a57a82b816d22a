"""The time lines on the profile: after how many minutes which contact method is used."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from notifications import services
from notifications.models import ContactMethod, NotificationRule, Priority
from notifications.rules import set_rules
from tests.conftest import NOW
from tests.html import assert_clean

HIGH = "/profile/rules/high"


@pytest.fixture
def as_bob(client: Client, bob: User) -> Client:
    client.force_login(bob)
    return client


@pytest.fixture
def mail(bob: User) -> ContactMethod:
    return bob.contact_methods.get()


@pytest.fixture
def push(bob: User) -> ContactMethod:
    return services.create_contact_method(bob, "ntfy", "https://ntfy.sh/ilert-x", verified_at=NOW)


def typed(*lines: tuple[Any, Any], initial: int = 0, **more: str) -> dict[str, str]:
    """What the form of high priority sends."""
    data = {"high-TOTAL_FORMS": str(len(lines)), "high-INITIAL_FORMS": str(initial)}
    for number, (method, minutes) in enumerate(lines):
        data |= {
            f"high-{number}-method": str(getattr(method, "pk", method)),
            f"high-{number}-minutes": str(minutes),
        }
    return data | more


def stored(user: User, priority: str = "high") -> list[tuple[str, int]]:
    rules = NotificationRule.objects.filter(user=user, priority=priority).order_by("delay_minutes", "pk")
    return [(rule.contact_method.channel, rule.delay_minutes) for rule in rules]


def test_minutes_are_changed_and_their_order_follows(
    as_bob: Client, bob: User, mail: ContactMethod, push: ContactMethod
) -> None:
    response = as_bob.post(HIGH, typed((mail, 2), (push, 0), ("", 0), initial=2))
    assert response["Location"] == "/profile#rules-high"
    assert stored(bob) == [("ntfy", 0), ("email", 2)]
    assert stored(bob, "low") == [("email", 0), ("ntfy", 0)]


def test_the_last_line_adds(as_bob: Client, bob: User, mail: ContactMethod) -> None:
    as_bob.post(HIGH, typed((mail, 0), (mail, 5), initial=1))
    assert stored(bob) == [("email", 0), ("email", 5)]


def test_a_line_is_removed_by_its_button_whatever_is_typed_in_it(
    as_bob: Client, bob: User, mail: ContactMethod, push: ContactMethod
) -> None:
    as_bob.post(HIGH, typed((mail, "soon"), (push, 3), ("", 0), initial=2, **{"high-0-DELETE": "on"}))
    assert stored(bob) == [("ntfy", 3)]


def test_what_stays_keeps_its_row(bob: User, mail: ContactMethod, push: ContactMethod) -> None:
    """Messages that are planned are known by it."""
    row = NotificationRule.objects.get(contact_method=mail, priority="high")
    set_rules(bob, Priority.HIGH, [(mail, 0), (push, 9)])
    assert NotificationRule.objects.get(contact_method=mail, priority="high").pk == row.pk


@pytest.mark.parametrize(
    ("minutes", "said"), [("-1", "0 is at once."), ("1441", "At most a day"), ("", "How many"), ("x", "Whole minutes")]
)
def test_minutes_that_cannot_be(as_bob: Client, bob: User, mail: ContactMethod, minutes: str, said: str) -> None:
    response = as_bob.post(HIGH, typed((mail, minutes), initial=1))
    assert response.status_code == 422
    assert said in response.content.decode()
    assert_clean(response)
    assert stored(bob) == [("email", 0)]


def test_a_day_can_be(as_bob: Client, bob: User, mail: ContactMethod) -> None:
    as_bob.post(HIGH, typed((mail, 1440), initial=1))
    assert stored(bob) == [("email", 1440)]


def test_the_same_line_twice_is_refused(as_bob: Client, bob: User, mail: ContactMethod) -> None:
    response = as_bob.post(HIGH, typed((mail, 5), (mail, 5), initial=1))
    assert response.status_code == 422
    assert "is there twice after 5 min" in response.content.decode()
    assert stored(bob) == [("email", 0)]


@pytest.mark.parametrize(("count", "status"), [(20, 302), (21, 422)])
def test_at_most_twenty(as_bob: Client, bob: User, mail: ContactMethod, count: int, status: int) -> None:
    lines = [(mail, number) for number in range(count)]
    assert as_bob.post(HIGH, typed(*lines, ("", 0), initial=1)).status_code == status
    assert len(stored(bob)) == (count if status == 302 else 1)


def test_a_method_of_somebody_else_is_refused(as_bob: Client, bob: User, alice: User) -> None:
    response = as_bob.post(HIGH, typed((alice.contact_methods.get(), 0)))
    assert response.status_code == 422
    assert stored(bob) == [("email", 0)]


def test_without_lines_nothing_is_told_and_the_profile_says_so(as_bob: Client, bob: User, push: ContactMethod) -> None:
    as_bob.post(HIGH, typed())
    assert stored(bob) == []
    assert "High-priority incidents do not reach you" in as_bob.get("/profile").content.decode()


def test_a_form_that_was_tampered_with_does_no_harm(as_bob: Client, bob: User) -> None:
    assert as_bob.post(HIGH, {}).status_code == 422
    assert as_bob.get("/profile/rules/medium").status_code == 404
    assert as_bob.get(HIGH)["Location"] == "/profile"
    assert stored(bob) == [("email", 0)]

"""The frame, the error pages and what holds for every page."""

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import path, reverse
from django.views.defaults import server_error
from pytest_django import Settings

from accounts.models import Theme, User
from accounts.rights import READ, ROUTES
from alertsources.models import AlertSource
from ilert.urls import urlpatterns as product_urls
from oncall.models import EscalationPolicy
from tests.html import assert_clean


def _broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken on purpose")


def _forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("Only the cat may do this.")


# With `pytest.mark.urls` this module is the product's pages and two that fail.
urlpatterns = [*product_urls, path("broken", _broken, name="broken"), path("forbidden", _forbidden, name="forbidden")]


@pytest.fixture
def open_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two are in the table of rights, too."""
    for name in ("broken", "forbidden"):
        monkeypatch.setitem(ROUTES, name, READ)


PAGES = [
    "source-list",
    "source-create",
    "policy-list",
    "policy-create",
    "styleguide",
    "system",
    "account_change_password",
    "account_logout",
]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_drawn_with_nothing_inline(as_alice: Client, source: AlertSource, name: str) -> None:
    response = as_alice.get(reverse(name))

    assert response.status_code == 200
    assert_clean(response)
    assert "'unsafe" not in response["Content-Security-Policy"]


@pytest.mark.parametrize(
    "name", ["source-detail", "source-edit", "source-delete", "policy-detail", "policy-edit", "policy-delete"]
)
def test_page_of_one_thing_is_drawn_with_nothing_inline(as_alice: Client, source: AlertSource, name: str) -> None:
    pk = source.pk if name.startswith("source") else source.escalation_policy_id

    response = as_alice.get(reverse(name, args=[pk]))

    assert response.status_code == 200
    assert_clean(response)


@pytest.mark.parametrize(
    "name", ["account_login", "account_reset_password", "account_reset_password_done", "account_signup"]
)
def test_page_before_sign_in_is_drawn_with_nothing_inline(client: Client, db: None, name: str) -> None:
    response = client.get(reverse(name))

    assert response.status_code == 200
    assert_clean(response)


@pytest.mark.parametrize("name", PAGES)
def test_signed_out_people_are_sent_to_sign_in(client: Client, db: None, name: str) -> None:
    response = client.get(reverse(name))

    assert response.status_code == 302
    assert response["Location"].startswith((reverse("account_login"), "/accounts/login"))


@pytest.mark.parametrize("name", [name for name in PAGES if not name.startswith("account")])
def test_reading_a_page_changes_nothing(as_alice: Client, source: AlertSource, name: str) -> None:
    with connection.execute_wrapper(_only_reads):
        as_alice.get(reverse(name))


@pytest.mark.parametrize("name", ["source-detail", "source-edit", "source-delete", "source-set-active"])
def test_reading_a_page_of_a_source_changes_nothing(as_alice: Client, source: AlertSource, name: str) -> None:
    with connection.execute_wrapper(_only_reads):
        as_alice.get(reverse(name, args=[source.pk]))


@pytest.mark.parametrize("name", ["policy-detail", "policy-edit", "policy-delete"])
def test_reading_a_page_of_a_policy_changes_nothing(as_alice: Client, policy: EscalationPolicy, name: str) -> None:
    with connection.execute_wrapper(_only_reads):
        as_alice.get(reverse(name, args=[policy.pk]))


def _only_reads(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
    assert sql.lstrip().startswith(("SELECT", "SAVEPOINT", "RELEASE")), sql
    return execute(sql, params, many, context)


def test_navigation_has_an_entry_for_each_page_that_exists(as_alice: Client) -> None:
    page = as_alice.get(reverse("policy-list")).content.decode()

    for name in ("incident-list", "policy-list", "source-list", "outbox"):
        assert f'href="{reverse(name)}"' in page


def test_navigation_marks_the_present_page(as_alice: Client) -> None:
    page = as_alice.get(reverse("policy-list")).content.decode()

    assert page.count('aria-current="page"') == 1


def test_outbox_has_no_entry_when_mail_is_really_sent(as_alice: Client, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"

    assert reverse("outbox") not in as_alice.get(reverse("policy-list")).content.decode()


def test_outbox_has_no_entry_for_members(client: Client, bob: User) -> None:
    client.force_login(bob)

    assert reverse("outbox") not in client.get(reverse("policy-list")).content.decode()


@pytest.mark.parametrize("theme", Theme.values)
def test_page_has_the_theme_of_its_viewer(as_alice: Client, alice: User, theme: str) -> None:
    as_alice.post(reverse("theme"), {"theme": theme})

    assert f'data-theme="{theme}"' in as_alice.get(reverse("policy-list")).content.decode()


def test_theme_that_does_not_exist_is_refused(as_alice: Client, alice: User) -> None:
    assert as_alice.post(reverse("theme"), {"theme": "pink"}).status_code == 400
    alice.refresh_from_db()
    assert alice.theme == Theme.SYSTEM


def test_theme_never_leads_away(as_alice: Client) -> None:
    response = as_alice.post(reverse("theme"), {"theme": "dark"}, headers={"referer": "https://evil.example/"})

    assert response["Location"] == reverse("home")


def test_missing_page_is_told_in_the_frame(as_alice: Client) -> None:
    response = as_alice.get("/nowhere")

    assert response.status_code == 404
    assert "This page does not exist" in response.content.decode()
    assert 'class="nav"' in response.content.decode()
    assert_clean(response)


@pytest.mark.urls("tests.test_pages")
def test_refusal_says_whom_it_is_for(as_alice: Client, open_routes: None) -> None:
    response = as_alice.get("/forbidden")

    assert response.status_code == 403
    assert "Only the cat may do this." in response.content.decode()
    assert_clean(response)


@pytest.mark.urls("tests.test_pages")
def test_fault_of_ours_has_a_page_without_traceback(as_alice: Client, open_routes: None) -> None:
    as_alice.raise_request_exception = False

    response = as_alice.get("/broken")

    assert response.status_code == 500
    assert "Something broke on our side" in response.content.decode()
    assert "broken on purpose" not in response.content.decode()
    assert_clean(response)


def test_fault_page_needs_no_database() -> None:
    """Without the `db` fixture every query would raise."""
    response = server_error(RequestFactory().get("/"))

    assert response.status_code == 500
    assert_clean(response)


def test_form_without_token_is_explained(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)

    response = client.post(reverse("policy-create"), {})

    assert response.status_code == 403
    assert "This form was too old" in response.content.decode()
    assert_clean(response)


@pytest.mark.parametrize("template", ["400.html", "404.html", "500.html"])
def test_error_pages_need_no_context(template: str) -> None:
    assert "<h1>" in render_to_string(template)


def test_htmx_runs_under_the_policy(as_alice: Client) -> None:
    page = as_alice.get(reverse("policy-list")).content.decode()

    for setting in ('"includeIndicatorStyles":false', '"allowEval":false', '"historyCacheSize":0'):
        assert setting in page
    assert settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]["script-src"] == ["'self'"]

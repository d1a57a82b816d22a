"""Two admins at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import transaction

from accounts import services
from accounts.api_keys.services import create_api_key
from accounts.models import ApiKey, AuditEntry, User
from tests.beside import beside
from tests.conftest import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_who_let_somebody_in_do_it_once(alice: User, bob: User) -> None:
    services.set_person_active(bob, False)
    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            services.set_person_active(User.objects.get(pk=bob.pk), True)
            second = beside(threads, services.set_person_active, User.objects.get(pk=bob.pk), True)
            assert not second.done()
            create_api_key(bob, "CI", NOW)
        second.result(10)

    assert AuditEntry.objects.filter(verb="activated").count() == 1
    assert ApiKey.objects.get().revoked_at is None

"""The audit log: who changed which configuration, when and from where, and what it was before.

Services call `created`, `changing` and `deleted` around what they write, in their transaction. Who acts and from where
is known from the request that is being answered; outside of requests it is ilert itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from allauth.account.signals import password_changed, password_reset
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
)
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import models, transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from accounts.models import AuditEntry, User
from ilert.common.encrypted import EncryptedTextField
from ilert.common.text import clean

if TYPE_CHECKING:
    from allauth.mfa.models import Authenticator

_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)
_SECRET_FIELDS = (EncryptedTextField, models.BinaryField)
WRONG_CODE = "failed second factor of"
_LEFT_OUT = frozenset({"password", "last_login", "is_superuser", "theme", "access_ended_at"})


class AuditMiddleware:
    """Lets whatever is recorded while a request is answered know who asked, and from where."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return self.get_response(request)
        finally:
            _request.reset(token)


def current_actor() -> User | None:
    """Return who is signed in, or whose key it is; None outside of requests."""
    # A request's user is lazy, and says of which class it is only when asked for something.
    user = getattr(_request.get(), "user", None)
    return user if isinstance(user, User) else None


def state(thing: models.Model) -> dict[str, Any]:
    """Return what the database holds of `thing`, without secrets. A model may say it itself by `audit_state()`."""
    stored = type(thing)._base_manager.get(pk=thing.pk)
    if hasattr(stored, "audit_state"):
        return dict(stored.audit_state())
    return fields_of(stored)


def fields_of(thing: models.Model, *left_out: str) -> dict[str, Any]:
    """Return the fields of `thing` except its number, secrets and `left_out`; what they refer to is named."""
    return {
        field.name: _plain(thing, field)
        for field in thing._meta.concrete_fields
        if not (field.primary_key or isinstance(field, _SECRET_FIELDS) or field.name in _LEFT_OUT | {*left_out})
    }


def _plain(thing: models.Model, field: "models.Field[Any, Any]") -> Any:
    value = getattr(thing, field.name)
    return str(value) if isinstance(value, models.Model) else value


def record(
    actor: User | None, verb: str, thing: models.Model, before: dict[str, Any], after: dict[str, Any]
) -> AuditEntry:
    """Write one row. Of what is in both `before` and `after`, only what differs is kept."""
    same = {name for name in before.keys() & after.keys() if before[name] == after[name]}
    return _write(
        actor,
        verb,
        object_type=str(thing._meta.verbose_name),
        object_id=thing.pk,
        object_name=str(thing)[:255],
        before={name: value for name, value in before.items() if name not in same},
        after={name: value for name, value in after.items() if name not in same},
    )


def created(thing: models.Model, verb: str = "created") -> None:
    record(current_actor(), verb, thing, {}, state(thing))


@contextmanager
def changing(thing: models.Model, verb: str = "changed") -> Iterator[None]:
    """Record what the block changes of `thing`, together with it or not at all."""
    with transaction.atomic():
        before = state(thing)
        yield
        record(current_actor(), verb, thing, before, state(thing))


@contextmanager
def deleting(thing: models.Model, verb: str = "deleted") -> Iterator[None]:
    """Record what `thing` was before the block deletes it."""
    with transaction.atomic():
        before = state(thing)
        record(current_actor(), verb, thing, before, {})
        yield


def _write(actor: User | None, verb: str, **fields: Any) -> AuditEntry:
    request = _request.get()
    return AuditEntry.objects.create(
        actor=actor,
        actor_name=str(actor)[:254] if actor else "",
        address=request.META.get("REMOTE_ADDR", "")[:45] if request else "",
        verb=verb,
        **fields,
    )


# Sign-ins are no service of ours, but are told by Django.


@receiver(user_logged_in)
def _signed_in(sender: Any, user: User, **_: Any) -> None:
    record(user, "signed in", user, {}, {})


@receiver(user_logged_out)
def _signed_out(sender: Any, user: User | None, **_: Any) -> None:
    if user is not None:
        record(user, "signed out", user, {}, {})


@receiver(authenticator_added)
def _second_factor_on(sender: Any, user: User, authenticator: "Authenticator", **_: Any) -> None:
    if authenticator.type == authenticator.Type.TOTP:  # recovery codes come with it
        record(user, "set up second factor of", user, {}, {})


@receiver(authenticator_removed)
def _second_factor_off(sender: Any, user: User, authenticator: "Authenticator", **_: Any) -> None:
    if authenticator.type == authenticator.Type.TOTP:
        record(user, "removed second factor of", user, {}, {})


@receiver(authenticator_reset)
def _second_factor_anew(sender: Any, user: User, **_: Any) -> None:
    record(user, "made new recovery codes of", user, {}, {})


@receiver(authentication_failed)
def _wrong_code(sender: Any, user: User, **_: Any) -> None:
    """Who enters it has the password, but need not be that person. `accounts.second_factor` counts these."""
    record(current_actor(), WRONG_CODE, user, {}, {})


@receiver([password_changed, password_reset])
def _password_changed(sender: Any, user: User, **_: Any) -> None:
    record(user, "changed password of", user, {}, {})


@receiver(user_login_failed)
def _not_signed_in(sender: Any, credentials: dict[str, Any], **_: Any) -> None:
    """The address is kept as it was typed; whether somebody has it is not told."""
    typed = str(credentials.get("email") or credentials.get("username") or "")
    _write(None, "failed to sign in", object_type="person", object_name=clean(typed)[:255])

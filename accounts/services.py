"""What can be done with people."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction

from accounts import audit
from accounts.api_keys.services import revoke_api_key
from accounts.models import Role, Team, User
from accounts.signals import email_moved, email_proven
from ilert.common.clock import database_now


@transaction.atomic
def ensure_first_admin() -> tuple[str, str | None]:
    """Create the first admin unless somebody can sign in as one already.

    Returns (e-mail address, password). The password is only given when it was made up here, since then nobody else
    knows it; it is stored nowhere in clear.
    """
    existing = User.objects.signing_in_admins().order_by("pk").first()
    if existing:
        return existing.email, None
    generated = None if settings.ILERT_ADMIN_PASSWORD else secrets.token_urlsafe(12)
    email = User.objects.normalize_email(settings.ILERT_ADMIN_EMAIL)
    password = generated or settings.ILERT_ADMIN_PASSWORD
    if person := User.objects.filter(email=email).first():
        _make_admin(person, password)
    else:
        audit.created(User.objects.create_superuser(email, password, name="Admin"))
    return email, generated


def _make_admin(person: User, password: str) -> None:
    """Let somebody who is here already set things up, as whoever runs the installation names their address.

    Who was shut out comes back without what they had before, as by `set_person_active`.
    """
    was_out = not person.is_active
    with audit.changing(person):
        person.role, person.is_active = Role.ADMIN, True
        person.set_password(password)
        person.save(update_fields=["role", "is_active", "password"])
    if was_out:
        end_access(person, database_now())


class LastAdmin(Exception):
    """Without this person nobody could set up anything any more."""

    def __str__(self) -> str:
        return "This is the last active admin. Make somebody else an admin first."


def is_last_admin(person: User) -> bool:
    """Whether `person` is the only admin who can sign in. Locks them, so that two cannot leave at one moment."""
    admins = User.objects.signing_in_admins().order_by("pk")
    return list(admins.select_for_update().values_list("pk", flat=True)) == [person.pk]


@transaction.atomic
def invite(email: str, name: str, role: str) -> User:
    """Create a person who has no password yet. The mail with the link is sent by `accounts.invitations.send`."""
    person = User.objects.create_user(email, name=name, role=role)
    audit.created(person, "invited")
    return person


@transaction.atomic
def update_person(person: User, *, name: str, email: str, role: str) -> None:
    """Change what an admin may change of a person. LastAdmin when nobody would be left to set things up.

    How they are reached stays as it is; `move_email` changes that.
    """
    if role != Role.ADMIN and is_last_admin(person):
        raise LastAdmin
    with audit.changing(person):
        person.name, person.email, person.role = name, User.objects.normalize_email(email), role
        person.save(update_fields=["name", "email", "role"])


def move_email(person: User, old_email: str) -> None:
    """Let what reached `person` at their old address reach them at the one they have now."""
    if person.email.lower() != old_email.lower():
        email_moved.send(User, person=person, old_email=old_email)


def update_profile(person: User) -> None:
    """Save what people change of themselves: name, time zone and theme, as they are on `person` now."""
    with audit.changing(person):
        person.save(update_fields=["name", "time_zone", "theme"])


@transaction.atomic
def set_person_active(person: User, active: bool) -> None:
    """Let a person in again, or shut them out at once: their sessions, links and keys end. LastAdmin as above.

    Nothing happens to whoever is in, or out, already: a second press of the button ends nothing that they have since.
    Nothing of that comes back with the person: who was shut out may have left them with somebody else.
    """
    if not active and is_last_admin(person):
        raise LastAdmin
    person.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
    if person.is_active == active:
        return
    with audit.changing(person, "activated" if active else "deactivated"):
        person.is_active = active
        person.save(update_fields=["is_active"])
    end_access(person, database_now())


@transaction.atomic
def end_access(person: User, now: datetime) -> None:
    """End the sessions, the links and the keys of `person` for good.

    Sessions and links end with the person's mark; the rows of sessions are only tidied away.
    """
    person.access_ended_at = now
    person.save(update_fields=["access_ended_at"])
    listed = UserSession.objects.filter(user=person)
    Session.objects.filter(session_key__in=list(listed.values_list("session_key", flat=True))).delete()
    listed.delete()
    for key in person.api_keys.filter(revoked_at=None):
        revoke_api_key(key, now)


@transaction.atomic
def accept_invitation(person: User, password: str) -> None:
    """Let an invited person set their first password."""
    person.set_password(password)
    person.save(update_fields=["password"])
    audit.record(person, "accepted invitation as", person, {}, {})
    email_proven.send(User, person=person)


@transaction.atomic
def create_team(name: str, members: Iterable[User]) -> Team:
    team = Team.objects.create(name=name)
    team.members.set(members)
    audit.created(team)
    return team


def update_team(team: Team, *, name: str, members: Iterable[User]) -> None:
    with audit.changing(team):
        team.name = name
        team.save(update_fields=["name"])
        team.members.set(members)


def delete_team(team: Team) -> None:
    """Delete a team. ProtectedError while it owns something, as that would be everyone's then."""
    with audit.deleting(team):
        team.delete()

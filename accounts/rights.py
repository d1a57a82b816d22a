"""Who may do what: one table over every route. Pure: no database, no request.

A route that is not in the table cannot be opened by anybody, and a test compares the table with the addresses.
"""

from dataclasses import dataclass
from enum import IntEnum

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Level(IntEnum):
    """How much somebody may do, the least first."""

    ANYBODY = 0
    """Signed out, too: the page is for everybody, or a token or a key in the request is the credential."""
    STAKEHOLDER = 1
    """Reads, and looks after their own profile."""
    MEMBER = 2
    """Acts on incidents."""
    ADMIN = 3
    """Sets up sources, policies and people."""
    NOBODY = 4
    """The route comes with a package and is not part of the product; it answers 404."""


LEVELS = {"stakeholder": Level.STAKEHOLDER, "member": Level.MEMBER, "admin": Level.ADMIN}


@dataclass(frozen=True)
class Rule:
    """The least level that may read a route, and write to it. `why` is told to those who may not."""

    read: Level
    write: Level
    why: str = "Your role does not allow it. An admin can help."
    about: str = ""
    """The model whose object `pk` in the address names; what the viewer may not see answers 404."""

    def asks(self, method: str) -> Level:
        return self.read if method in SAFE_METHODS else self.write


SOURCE, POLICY, INCIDENT = "alertsources.AlertSource", "oncall.EscalationPolicy", "incidents.Incident"

_SOURCES = "Only admins set up alert sources. Ask one of them, or look at the list."
_POLICIES = "Only admins change escalation policies. Ask one of them, or look at the list."
_PEOPLE = "Only admins look after people and teams."
_INCIDENTS = "Stakeholders can read incidents, but not change them."
_FAILED = "Only admins deal with events that could not be applied."

OPEN = Rule(Level.ANYBODY, Level.ANYBODY)
OWN = Rule(Level.STAKEHOLDER, Level.STAKEHOLDER)
READ = Rule(Level.STAKEHOLDER, Level.MEMBER)
ADMINS = Rule(Level.ADMIN, Level.ADMIN, "This page is for admins.")
CLOSED = Rule(Level.NOBODY, Level.NOBODY)


def _admins(why: str, about: str = "") -> Rule:
    return Rule(Level.ADMIN, Level.ADMIN, why, about)


def _deed(about: str = INCIDENT) -> Rule:
    return Rule(Level.MEMBER, Level.MEMBER, _INCIDENTS, about)


def _read(about: str) -> Rule:
    return Rule(Level.STAKEHOLDER, Level.MEMBER, about=about)


ROUTES = {
    # The project.
    "home": READ,
    "theme": OWN,
    "styleguide": READ,
    "api-docs": OWN,
    "rest-schema": OPEN,
    # Incidents.
    "incident-list": READ,
    "incident-rows": READ,
    "incident-stream": READ,
    "incident-export": READ,
    "incident-bulk": _deed(about=""),
    "incident-new": _deed(about=""),
    "incident-detail": _read(INCIDENT),
    "incident-detail-stream": _read(INCIDENT),
    "incident-timeline": _read(INCIDENT),
    "incident-accept": _deed(),
    "incident-resolve": _deed(),
    "incident-reopen": _deed(),
    "incident-escalate": _deed(),
    "incident-assign": _deed(),
    "incident-snooze": _deed(),
    "incident-raise": _deed(),
    "incident-merge": _deed(),
    "incident-comment": _deed(),
    # The token in the address is the credential.
    "incident-link": OPEN,
    "incident-link-accept": OPEN,
    # Alert sources.
    "source-list": READ,
    "source-states": READ,
    "source-detail": _read(SOURCE),
    "source-activity": _read(SOURCE),
    "source-events": _read(SOURCE),
    "source-event": _read(SOURCE),
    "source-test": Rule(Level.MEMBER, Level.MEMBER, "Stakeholders can read, but not send test events.", SOURCE),
    "source-create": _admins(_SOURCES),
    "source-create-of": _admins(_SOURCES),
    "source-edit": _admins(_SOURCES, SOURCE),
    "source-set-active": _admins(_SOURCES, SOURCE),
    "source-rotate-key": _admins(_SOURCES, SOURCE),
    "source-revoke-key": _admins(_SOURCES, SOURCE),
    "source-delete": _admins(_SOURCES, SOURCE),
    # Escalation policies.
    "policy-list": READ,
    "policy-detail": _read(POLICY),
    "policy-create": _admins(_POLICIES),
    "policy-edit": _admins(_POLICIES, POLICY),
    "policy-delete": _admins(_POLICIES, POLICY),
    # REST keys; each sees their own only.
    "api-keys": OWN,
    "api-key-revoke": OWN,
    # How people are reached; each sees their own only.
    "profile": OWN,
    "notification-rules": OWN,
    "quiet-times": OWN,
    "mute": OWN,
    "unmute": OWN,
    "unreachable": _admins(_PEOPLE),
    "contact-method-add": OWN,
    "contact-method-setup": OWN,
    "contact-method-test": OWN,
    "contact-method-delete": OWN,
    "contact-method-verify": OWN,
    # The token in the address is the credential.
    "contact-method-link": OPEN,
    "outbox": ADMINS,
    "outbox-clear": ADMINS,
    # People, teams and the audit log.
    "people": READ,
    "person-detail": READ,
    "person-reach": READ,
    "person-invite": _admins(_PEOPLE),
    "person-edit": _admins(_PEOPLE),
    "person-set-active": _admins(_PEOPLE),
    "person-invite-again": _admins(_PEOPLE),
    "invitation": OPEN,
    "team-detail": READ,
    "team-create": _admins(_PEOPLE),
    "team-edit": _admins(_PEOPLE),
    "team-delete": _admins(_PEOPLE),
    "audit-log": _admins("The audit log is for admins."),
    # Operation. Metrics know a token of their own.
    "system": _admins("The system page is for admins."),
    "failed-requests": _admins(_FAILED),
    "failed-process": _admins(_FAILED),
    "failed-process-all": _admins(_FAILED),
    "metrics": OPEN,
    "healthz": OPEN,
    "readyz": OPEN,
    # REST.
    "rest-alert-sources": Rule(Level.STAKEHOLDER, Level.ADMIN, _SOURCES),
    "rest-alert-source": Rule(Level.STAKEHOLDER, Level.ADMIN, _SOURCES, SOURCE),
    "rest-policies": Rule(Level.STAKEHOLDER, Level.ADMIN, _POLICIES),
    "rest-policy": Rule(Level.STAKEHOLDER, Level.ADMIN, _POLICIES, POLICY),
    "rest-incidents": Rule(Level.STAKEHOLDER, Level.MEMBER, _INCIDENTS),
    "rest-incident": Rule(Level.STAKEHOLDER, Level.MEMBER, _INCIDENTS, INCIDENT),
    "rest-incident-accept": _deed(),
    "rest-incident-resolve": _deed(),
    "rest-incident-escalate": _deed(),
    "rest-incident-assign": _deed(),
    "rest-incident-comments": _deed(),
    "rest-incident-log-entries": _read(INCIDENT),
    "rest-incident-notifications": _read(INCIDENT),
    "rest-on-calls": READ,
    "rest-users": Rule(Level.STAKEHOLDER, Level.ADMIN, _PEOPLE),
    "rest-users-current": OWN,
    "rest-user": Rule(Level.STAKEHOLDER, Level.ADMIN, _PEOPLE),
    # The integration key is the credential.
    "events": OPEN,
    "events-api": OPEN,
    "api-unknown": OPEN,
    # Sign-in.
    "account_login": OPEN,
    "account_logout": OPEN,
    "account_inactive": OPEN,
    "account_signup": OPEN,
    "account_reset_password": OPEN,
    "account_reset_password_done": OPEN,
    "account_reset_password_from_key": OPEN,
    "account_reset_password_from_key_done": OPEN,
    "account_change_password": OWN,
    "account_reauthenticate": OWN,
    "mfa_index": OWN,
    "mfa_authenticate": OPEN,
    "mfa_reauthenticate": OWN,
    "mfa_activate_totp": OWN,
    "mfa_deactivate_totp": OWN,
    "mfa_view_recovery_codes": OWN,
    "mfa_generate_recovery_codes": OWN,
    "mfa_download_recovery_codes": OWN,
    "sessions": OWN,
    "sessions-end": OWN,
    "account_email": CLOSED,
    "account_email_verification_sent": CLOSED,
    "account_confirm_email": CLOSED,
    "account_set_password": CLOSED,
    "account_confirm_login_code": CLOSED,
}
# Whole sites of others, by the namespace of their routes.
NAMESPACES = {"admin": ADMINS}


def rule_of(route: str) -> Rule | None:
    """Return the rule of a route by its name, such as "policy-edit" or "admin:index"."""
    namespace, separator, _ = route.partition(":")
    return NAMESPACES.get(namespace) if separator else ROUTES.get(route)

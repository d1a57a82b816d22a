"""The audit log as admins read it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.models import AuditEntry, User
from accounts.requests import SignedInRequest
from ilert.common.paging import keyset_page
from ilert.common.text import clean, number

PAGE_SIZE = 50
SIGN_INS = "sign-ins"
KINDS = {
    "alert source": "Alert sources",
    "escalation policy": "Escalation policies",
    "person": "People",
    "team": "Teams",
    "contact method": "Contact methods",
    "notification rule": "Notification rules",
    "API key": "API keys",
    SIGN_INS: "Sign-ins",
}
_SIGN_IN_VERBS = ("signed in", "signed out", "failed to sign in", audit.WRONG_CODE)


@dataclass(frozen=True)
class AuditFilters:
    person: int | None
    kind: str
    words: str

    @classmethod
    def read(cls, query: QueryDict) -> "AuditFilters":
        kind = query.get("kind", "")
        return cls(
            number(query.get("person", "")),
            kind if kind in KINDS else "",
            clean(query.get("q", "")).strip()[:200],
        )

    @property
    def query(self) -> str:
        values: dict[str, Any] = {"person": self.person, "kind": self.kind, "q": self.words}
        return urlencode({name: value for name, value in values.items() if value})

    def entries(self) -> QuerySet[AuditEntry]:
        found = AuditEntry.objects.all()
        if self.person:
            found = found.filter(actor=self.person)
        if self.kind == SIGN_INS:
            found = found.filter(verb__in=_SIGN_IN_VERBS)
        elif self.kind:
            found = found.filter(object_type=self.kind).exclude(verb__in=_SIGN_IN_VERBS)
        if self.words:
            found = found.filter(
                Q(object_name__icontains=self.words)
                | Q(actor_name__icontains=self.words)
                | Q(verb__icontains=self.words)
                | Q(address__startswith=self.words)
            )
        return found


@require_safe
def audit_log(request: SignedInRequest) -> HttpResponse:
    filters = AuditFilters.read(request.GET)
    context = {
        "filters": filters,
        "page": keyset_page(filters.entries(), request.GET.get("before", ""), PAGE_SIZE),
        "people": User.objects.order_by("email"),
        "kinds": KINDS.items(),
    }
    return render(request, "accounts/audit_log.html", context)

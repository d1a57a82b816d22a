"""Server-sent events as a response."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.db import connections
from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone

from accounts.models import User
from accounts.requests import SignedInRequest
from incidents.live import MayStay
from incidents.models import Scope


def event_stream(events: AsyncGenerator[str, None]) -> StreamingHttpResponse:
    # Neither a proxy nor our own compression may collect events before they pass them on.
    headers = {"X-Accel-Buffering": "no", "Content-Encoding": "identity"}
    return StreamingHttpResponse(_without_connection(events), content_type="text/event-stream", headers=headers)


async def _without_connection(events: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    """Give back the connection that the request has looked its person up with.

    Django would keep it until the end of the response: ten open pages were all that the pool has.
    """
    await sync_to_async(connections.close_all)()
    async with contextlib.aclosing(events):
        async for event in events:
            yield event


def may_stay(request: SignedInRequest) -> MayStay:
    """Return what says whether the viewer's rights are still as they were when the page was opened."""
    user_id, session_key = request.user.pk, request.session.session_key

    def rights() -> tuple[object, ...] | None:
        user = User.objects.filter(pk=user_id, is_active=True).first()
        signed_in = Session.objects.filter(pk=session_key, expire_date__gt=timezone.now()).exists()
        if user is None or not signed_in:
            return None
        # A new password ends the other sessions. With other rights the page comes again, and sees what it may.
        return user.role, user.password, teams_of(user), Scope.of(user)

    opened = rights()
    return lambda: opened is not None and rights() == opened


def teams_of(user: User) -> frozenset[int] | None:
    """Return the teams that decide what `user` sees; None when it is everything."""
    return None if user.is_admin else frozenset(user.teams.values_list("pk", flat=True))


def no_stream() -> HttpResponse:
    """There is no stream to be had; the page asks by itself then."""
    return HttpResponse(status=503, headers={"Retry-After": "30"})

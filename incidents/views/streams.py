"""Server-sent events as a response."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpResponse, StreamingHttpResponse


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


def no_stream() -> HttpResponse:
    """There is no stream to be had; the page asks by itself then."""
    return HttpResponse(status=503, headers={"Retry-After": "30"})

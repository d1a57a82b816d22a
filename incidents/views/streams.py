"""Server-sent events as a response."""

from collections.abc import AsyncIterator

from django.http import HttpResponse, StreamingHttpResponse


def event_stream(events: AsyncIterator[str]) -> StreamingHttpResponse:
    # Neither a proxy nor our own compression may collect events before they pass them on.
    headers = {"X-Accel-Buffering": "no", "Content-Encoding": "identity"}
    return StreamingHttpResponse(events, content_type="text/event-stream", headers=headers)


def no_stream() -> HttpResponse:
    """There is no stream to be had; the page asks by itself then."""
    return HttpResponse(status=503, headers={"Retry-After": "30"})

"""What the channels that speak HTTP have in common: which answers mean “try again” and which do not."""

from collections.abc import Mapping

from django.utils import timezone

from ilert.common import http
from notifications.channels.base import DeliveryError, PermanentError, TemporaryError

# The receiver could not do it now: time-out, too early, too many requests.
_TEMPORARY = frozenset({408, 425, 429})


def post(url: str, *, content: bytes, headers: Mapping[str, str], timeout: float) -> http.Response:
    """POST to a provider. Raises PermanentError when ilert will not send there, TemporaryError without an answer."""
    try:
        return http.post(url, content=content, headers=headers, timeout=timeout)
    except http.UnusableURL as error:
        raise PermanentError(str(error)) from error
    except http.OutboundError as error:
        raise TemporaryError(str(error)) from error


def error_of(response: http.Response, answer: str) -> DeliveryError:
    """Return the error that a status outside of 2xx means."""
    if response.status in _TEMPORARY or response.status >= 500:
        return TemporaryError(answer, response.retry_after(timezone.now()))
    return PermanentError(answer)

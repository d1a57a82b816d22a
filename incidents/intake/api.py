"""The DRF door to the intake: the documented API."""

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from incidents.intake import admission
from incidents.intake.answers import Answer, error, too_large
from incidents.intake.receive import receive
from integrations import Payload


class EventsView(APIView):
    """Takes what a tool posts to its webhook URL; the integration key, in it or in the body, is the credential."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    # Whatever a tool may not send is answered by the core, as for every other door.
    http_method_names = ["get", "post", "put", "patch", "delete", "head", "options"]

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[JSONRenderer, str]:
        """Always JSON: whatever a tool says it accepts, its event must not be refused for it."""
        return JSONRenderer(), "application/json"

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None: which methods are allowed depends on the integration, and the core says it."""
        return {}

    def _answer(self, request: Request, integration: str = "", key: str = "") -> Response:
        answer = _received(request, integration, key)
        return Response(answer.content, status=answer.status, headers=answer.headers)

    get = post = put = patch = delete = head = options = http_method_not_allowed = _answer


def _received(request: Request, integration: str, key: str) -> Answer:
    try:
        body = admission.decoded(request._request.body, request.META.get("HTTP_CONTENT_ENCODING", ""))
    except RequestDataTooBig:
        return too_large()
    except UnreadablePostError:
        return error(400, "INCOMPLETE_BODY", "The connection ended before the body was complete.")
    if isinstance(body, Answer):
        return body
    payload = Payload(body, request.META.get("CONTENT_TYPE", ""), request.META.get("QUERY_STRING", ""))
    return receive(integration, key, request.method or "", payload, request.META.get("REMOTE_ADDR", ""))


@csrf_exempt
def unknown_path(request: HttpRequest) -> JsonResponse:
    """Say in JSON that an address below /api/ does not exist: programs read it, and they cannot read a page."""
    answer = error(
        404,
        "NOT_FOUND",
        "There is nothing at this address. /api/docs says what there is; webhooks go to /api/v1/events/<tool>/<key>.",
    )
    return JsonResponse(answer.content, status=answer.status)

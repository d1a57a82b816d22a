"""For load balancers and watchdogs."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from incidents.watch.ready import Check

_check = Check()


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process is up."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """503 exactly when this process cannot commit; other trouble is told, and no reason to send events elsewhere."""
    answer = _check.ask()
    if answer.obstacle:
        return JsonResponse({"status": "unavailable", "reason": answer.obstacle}, status=503)
    return JsonResponse({"status": "degraded" if answer.degraded else "ok", "degraded": list(answer.degraded)})

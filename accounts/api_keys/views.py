"""The page of a person's own REST keys."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.api_keys import services
from accounts.api_keys.forms import ApiKeyForm
from accounts.api_keys.models import ApiKey
from accounts.requests import SignedInRequest
from ilert.common.clock import database_now
from ilert.common.links import absolute


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def api_keys(request: SignedInRequest) -> HttpResponse:
    """My keys, and a new one: its text is in the answer to the form, and never again."""
    form = ApiKeyForm(request.POST or None)
    made = _create(request, form) if request.method == "POST" and form.is_valid() else None
    keys = list(ApiKey.objects.filter(user=request.user))
    context = {
        "form": ApiKeyForm() if made else form,
        "made": made[0] if made else None,
        "text": made[1] if made else "",
        "working": [key for key in keys if key.revoked_at is None],
        "revoked": [key for key in keys if key.revoked_at is not None],
        "example_url": absolute("/api/v1/users/current"),
    }
    return render(request, "accounts/api_keys.html", context, status=422 if form.errors else 200)


def _create(request: SignedInRequest, form: ApiKeyForm) -> tuple[ApiKey, str] | None:
    name = form.cleaned_data["name"]
    try:
        return services.create_api_key(request.user, name, database_now())
    except services.NameTaken:
        form.add_error("name", "You have a key of this name. Give another name, or revoke that one.")
        return None


@require_POST
def api_key_revoke(request: SignedInRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(ApiKey, pk=pk, user=request.user)
    services.revoke_api_key(key, database_now())
    messages.success(request, f"{key.name} is revoked. Whatever uses it is answered 401 from now on.")
    return redirect("api-keys")

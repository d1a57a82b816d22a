"""The sign-in forms: django-allauth's, in the product's words."""

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.second_factor import LimitedCodes
from ilert.common.client import throttled_as

GOOD_PASSWORD = "At least 10 characters, and nothing that is easy to guess."  # noqa: S105  # nosec B105


def _reword(form: Form, **labels: str) -> None:
    """Give fields their labels, and drop placeholders: they vanish while one types and are too pale to read."""
    for name, label in labels.items():
        form.fields[name].label = label
        form.fields[name].widget.attrs.pop("placeholder", None)


class SignInForm(allauth_forms.LoginForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _reword(self, login="E-mail address", password="Password")  # noqa: S106  # nosec B106
        self.fields["password"].help_text = ""
        self.fields["login"].widget.attrs |= {"autocomplete": "username", "autofocus": True}

    def clean(self) -> Any:
        try:
            return super().clean()
        except ValidationError as error:
            if error.code != "email_password_mismatch":
                raise
            self.add_error("password", "E-mail address or password is wrong. Check both and try again.")
            return self.cleaned_data


class ForgottenPasswordForm(allauth_forms.ResetPasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _reword(self, email="E-mail address")
        self.fields["email"].widget.attrs |= {"autocomplete": "username", "autofocus": True}


class NewPasswordForm(allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _reword(self, password1="New password", password2="New password again")  # nosec B106
        self.fields["password1"].help_text = GOOD_PASSWORD


class ChangePasswordForm(allauth_forms.ChangePasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _reword(
            self,
            oldpassword="Current password",  # nosec B106
            password1="New password",  # nosec B106
            password2="New password again",  # nosec B106
        )
        self.fields["oldpassword"].help_text = ""
        self.fields["password1"].help_text = GOOD_PASSWORD


class PasswordAgainForm(allauth_forms.ReauthenticateForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _reword(self, password="Password")  # noqa: S106  # nosec B106
        self.fields["password"].help_text = ""


class CodeForm(LimitedCodes, AuthenticateForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _reword(self, code="Code")
        self.fields["code"].help_text = "The six digits that your app shows, or one of your recovery codes."
        self.fields["code"].widget.attrs |= {"autofocus": True, "inputmode": "text"}


class CodeAgainForm(LimitedCodes, ReauthenticateForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _reword(self, code="Code")
        self.fields["code"].help_text = "The six digits that your app shows, or one of your recovery codes."


class ActivateAppForm(ActivateTOTPForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _reword(self, code="Code")
        self.fields["code"].help_text = "The six digits that your app shows now."
        self.fields["code"].widget.attrs |= {"inputmode": "numeric"}


# What django-axes asks. It counts wrong passwords; who has no account is counted alike.


def typed_address(request: HttpRequest | None, credentials: dict[str, Any] | None = None) -> str:
    """Return the account that somebody tries to get into, as it was typed; without case, as accounts are."""
    typed = (credentials or {}).get("email") or (request.POST.get("login") if request else "") or ""
    return str(typed).strip().lower()[:254]


def client_address(request: HttpRequest) -> str:
    """Return whose tries are counted together; TrustedProxiesMiddleware has found out the client's own address."""
    return throttled_as(str(request.META.get("REMOTE_ADDR", "")))


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """The answer to the next try, right or wrong, known or unknown: wait."""
    response = render(request, "account/locked_out.html", status=429)
    response["Retry-After"] = str(int(settings.AXES_COOLOFF_TIME.total_seconds()))
    return response

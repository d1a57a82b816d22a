"""The sign-in forms: django-allauth's, in the product's words."""

from typing import Any

from allauth.account import forms as allauth_forms
from django.core.exceptions import ValidationError
from django.forms import Form

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

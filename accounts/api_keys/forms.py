"""The form of a new REST key."""

from django import forms


class ApiKeyForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="Where it is used, so that you know which one to revoke.")

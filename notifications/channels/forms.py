"""What a form for the address of a channel has in common."""

from django import forms


class AddressForm(forms.Form):
    """Asks for what reaches a person through one channel. `address` and `secret` are good once it is valid."""

    @property
    def address(self) -> str:
        raise NotImplementedError

    @property
    def secret(self) -> str:
        return ""

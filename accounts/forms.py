"""What people say about themselves."""

import zoneinfo
from collections import defaultdict
from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.db.models import Q

from accounts.models import Role, Team, User
from accounts.sign_in import GOOD_PASSWORD

# The rest are old names of these, and zones by offset that know no clock change.
_REGIONS = frozenset(
    {"Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)


def time_zone_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the time zones grouped by region, as a select shows them."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in sorted(zoneinfo.available_timezones()):
        region, _, place = name.partition("/")
        if region in _REGIONS:
            groups[region].append((name, place.replace("_", " ").replace("/", " – ")))
    return [("Worldwide", [("UTC", "UTC")]), *sorted(groups.items())]


class ProfileForm(forms.ModelForm[User]):
    time_zone = forms.ChoiceField(help_text="Every time on these pages is shown on this clock.")

    class Meta:
        model = User
        fields = ["name", "time_zone", "theme"]
        help_texts = {"name": "How colleagues see you on timelines and schedules."}
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        choices = time_zone_choices()
        known = {name for _, zones in choices for name, _ in zones}
        if self.instance.time_zone not in known:
            choices[0][1].append((self.instance.time_zone, self.instance.time_zone))
        field = self.fields["time_zone"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


class InviteForm(forms.Form):
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        help_text="The invitation goes there, and it is what they sign in with.",
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    name = forms.CharField(max_length=150, required=False, help_text="How colleagues see them. They can change it.")
    role = forms.ChoiceField(
        choices=[
            (Role.MEMBER, "Member: acts on incidents"),
            (Role.STAKEHOLDER, "Stakeholder: reads only"),
            (Role.ADMIN, "Admin: sets up sources, policies and people"),
        ],
        initial=Role.MEMBER,
    )

    def clean_email(self) -> str:
        email: str = User.objects.normalize_email(self.cleaned_data["email"])
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("Somebody with this address is here already.")
        return email


class PersonForm(InviteForm):
    """What an admin may change of a person."""

    move = forms.BooleanField(
        label="Change their contact method with the old address, too",
        required=False,
        help_text="Unless the address is your own, they have to confirm it before incidents are told there.",
    )

    def __init__(self, *args: Any, person: User, **options: Any) -> None:
        self.person = person
        options["initial"] = {"email": person.email, "name": person.name, "role": person.role, "move": True}
        super().__init__(*args, **options)
        self.fields["email"].help_text = "What they sign in with."

    def clean_email(self) -> str:
        email: str = User.objects.normalize_email(self.cleaned_data["email"])
        return email if email.lower() == self.person.email.lower() else super().clean_email()


class FirstPasswordForm(forms.Form):
    new_password1 = forms.CharField(
        label="Password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=GOOD_PASSWORD,
    )
    new_password2 = forms.CharField(
        label="Password again", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, person: User, *args: Any, **options: Any) -> None:
        self.person = person
        super().__init__(*args, **options)

    def clean_new_password1(self) -> str:
        password: str = self.cleaned_data["new_password1"]
        validate_password(password, self.person)
        return password

    def clean_new_password2(self) -> str:
        again: str = self.cleaned_data["new_password2"]
        if "new_password1" in self.cleaned_data and again != self.cleaned_data["new_password1"]:
            raise forms.ValidationError("The two passwords are not the same.")
        return again


class TeamForm(forms.Form):
    name = forms.CharField(max_length=255)
    members = forms.ModelMultipleChoiceField(
        User.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="They see what the team owns. Admins see everything anyway.",
    )

    def __init__(self, *args: Any, team: Team | None = None, **options: Any) -> None:
        self.team = team
        if team:
            options["initial"] = {"name": team.name, "members": list(team.members.all())}
        super().__init__(*args, **options)
        field = self.fields["members"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = User.objects.filter(Q(is_active=True) | Q(teams=team)).distinct().order_by("email")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = Team.objects.exclude(pk=self.team.pk) if self.team else Team.objects
        if others.filter(name__iexact=name).exists():
            raise forms.ValidationError("Another team has this name already.")
        return name

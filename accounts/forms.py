"""What people say about themselves."""

import zoneinfo
from collections import defaultdict
from typing import Any

from django import forms

from accounts.models import User

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

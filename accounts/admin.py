"""People on Django's admin site."""

from django.contrib import admin
from django.forms import CharField, ModelForm, PasswordInput

from accounts.models import User

admin.site.site_header = admin.site.site_title = "ilert"
admin.site.index_title = "Behind the scenes"


class UserForm(ModelForm[User]):
    """A password can be set, never seen."""

    new_password = CharField(
        widget=PasswordInput(attrs={"autocomplete": "new-password"}),
        required=False,
        strip=False,
        help_text="Leave it empty to keep the present one.",
    )

    class Meta:
        model = User
        fields = ("email", "name", "role", "time_zone", "theme", "is_active")

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)
        if password := self.cleaned_data.get("new_password"):
            user.set_password(password)
        elif self.instance._state.adding:
            user.set_unusable_password()
        if commit:
            user.save()
        return user


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    form = UserForm
    list_display = ("email", "name", "role", "time_zone", "is_active", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("email", "name")
    ordering = ("email",)
    readonly_fields = ("last_login", "date_joined")
    fields = (
        "email",
        "name",
        "role",
        "time_zone",
        "theme",
        "is_active",
        "new_password",
        "last_login",
        "date_joined",
    )

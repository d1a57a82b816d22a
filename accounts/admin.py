"""People on Django's admin site."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.forms import CharField, ModelForm, PasswordInput
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts import audit
from accounts.api_keys.models import ApiKey
from accounts.models import AuditEntry, Role, Team, User
from accounts.services import LastAdmin, end_access, is_last_admin
from ilert.common.clock import database_now

admin.site.site_header = admin.site.site_title = "ilert"
admin.site.index_title = "Behind the scenes"


class AuditedAdmin(admin.ModelAdmin[Any]):
    """What is changed here stands in the audit log, as what is changed on the product's own pages does."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        thing = super().get_object(request, object_id, from_field)
        if thing is not None and request.method == "POST":
            thing._audit_before = audit.state(thing)
        return thing

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        audit.created(obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        before = getattr(obj, "_audit_before", {})
        audit.record(audit.current_actor(), "changed", obj, before, audit.state(obj))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for thing in queryset:
            audit.record(audit.current_actor(), "deleted", thing, audit.state(thing), {})
        return super().log_deletions(request, queryset)


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Columns, filters and search, and nothing to press: what has happened, or what the product writes for itself."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


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

    def clean_new_password(self) -> str:
        password: str = self.cleaned_data["new_password"]
        if password:
            validate_password(password, self.instance)
        return password

    def clean(self) -> dict[str, Any] | None:
        data = super().clean() or {}
        stays = data.get("is_active") and data.get("role") == Role.ADMIN
        if self.instance.pk and not stays and is_last_admin(self.instance):
            raise ValidationError(str(LastAdmin()))
        return data

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
class UserAdmin(AuditedAdmin):
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

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """One's own password is changed where the present one is asked for: an open browser is not enough."""
        own = obj is not None and obj.pk == request.user.pk
        return (*self.readonly_fields, "new_password") if own else self.readonly_fields

    def new_password(self, user: User) -> str:
        """Stands where the field would be that is read-only for oneself."""
        return format_html('<a href="{}">Change your password</a>', reverse("account_change_password"))

    def save_model(self, request: HttpRequest, obj: User, form: UserForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cleaned_data.get("new_password"):
            audit.record(audit.current_actor(), "changed password of", obj, {}, {})
        if change and "is_active" in form.changed_data:
            end_access(obj, database_now())

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Who has left is made inactive: what they did stays theirs."""
        return False


@admin.register(Team)
class TeamAdmin(AuditedAdmin):
    list_display = ("name", "created_at")
    search_fields = ("name", "members__email", "members__name")
    autocomplete_fields = ("members",)
    readonly_fields = ("created_at",)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """To look things up; the database refuses to change them."""

    list_display = ("at", "actor_name", "verb", "object_type", "object_name", "address")
    list_filter = ("verb", "object_type")
    search_fields = ("actor_name", "object_name", "address")
    date_hierarchy = "at"


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Whose keys work, and since when they have not been used. Their owners make and revoke them."""

    list_display = ("name", "user", "prefix", "created_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__email", "user__name")
    exclude = ("key_hash",)

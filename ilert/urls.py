"""Where everything is found. Each app lists its own pages."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from accounts.admin import AuditedAdmin, ReadOnlyAdmin
from ilert import views
from ilert.openapi import SchemaView

# One way to sign in: the admin site sends people to the product's own page, and others away.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# And one way to change a password: one that is checked and logged.
admin.site.password_change = views.change_password  # type: ignore[method-assign, assignment]
# What packages register could be changed past the audit log, such as somebody's second factor.
admin.site.unregister(
    [model for model, page in admin.site._registry.items() if not isinstance(page, AuditedAdmin | ReadOnlyAdmin)]
)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="incident-list"), name="home"),
    path("api/v1/schema", SchemaView.as_view(), name="rest-schema"),
    path("api/docs", views.api_docs, name="api-docs"),
    path("api/v1/", include("ilert.api_urls")),
    path("", include("incidents.urls")),
    path("", include("alertsources.urls")),
    path("", include("oncall.urls")),
    path("", include("notifications.urls")),
    path("", include("accounts.urls")),
    path("theme", views.set_theme, name="theme"),
    path("styleguide", views.styleguide, name="styleguide"),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("admin/", admin.site.urls),
]

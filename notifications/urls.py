"""Pages on which people say how they are reached, and the local outbox."""

from django.urls import path

from notifications import views
from notifications.availability_views import mute, quiet_times, unmute
from notifications.verification_views import contact_method_link, contact_method_verify

urlpatterns = [
    path("people/<int:pk>/reach", views.person_reach, name="person-reach"),
    path("profile", views.profile, name="profile"),
    path("profile/quiet-times", quiet_times, name="quiet-times"),
    path("profile/mute", mute, name="mute"),
    path("profile/unmute", unmute, name="unmute"),
    path("people/unreachable", views.unreachable, name="unreachable"),
    path("profile/rules/<slug:priority>", views.notification_rules, name="notification-rules"),
    path("profile/contact-methods/add/<slug:channel>", views.add_method, name="contact-method-add"),
    path("profile/contact-methods/add/<slug:channel>/setup", views.method_setup, name="contact-method-setup"),
    path("profile/contact-methods/<int:pk>/test", views.test_method, name="contact-method-test"),
    path("profile/contact-methods/<int:pk>/delete", views.delete_method, name="contact-method-delete"),
    path("profile/contact-methods/<int:pk>/verify", contact_method_verify, name="contact-method-verify"),
    path("contact-methods/confirm/<str:token>", contact_method_link, name="contact-method-link"),
    path("outbox", views.outbox, name="outbox"),
    path("outbox/clear", views.clear_outbox, name="outbox-clear"),
]

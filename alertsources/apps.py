from django.apps import AppConfig


class AlertsourcesConfig(AppConfig):
    name = "alertsources"
    verbose_name = "Alert sources"

"""The Celery application: its workers answer the bell that the ticker and the web processes ring."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ilert.settings")

app = Celery("ilert")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# By name: it knows models, and those are not ready when this is imported.
app.steps["consumer"].add("incidents.watch.worker:PulseStep")

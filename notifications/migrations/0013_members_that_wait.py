from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Beside the engine: it goes on while the index is built over the messages that are there."""

    atomic = False

    dependencies = [("notifications", "0012_senders_sessions")]

    operations = [
        AddIndexConcurrently(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("carrier__isnull", False), ("state__in", ["planned", "sending"])),
                fields=["due_at"],
                name="notifications_carried",
            ),
        ),
    ]

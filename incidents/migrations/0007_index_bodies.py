from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Beside the intake: it goes on while the index is built over the events that are there."""

    atomic = False

    dependencies = [("incidents", "0006_retention")]

    operations = [
        # What an interrupted attempt leaves is no index, and in the way of the next attempt.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS incidents_event_body", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(
                condition=models.Q(("body__isnull", False)), fields=["id"], name="incidents_event_body"
            ),
        ),
    ]

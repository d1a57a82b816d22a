from django.db import migrations, models


class Migration(migrations.Migration):
    # Times grow with ids (incidents/moments.py), and nearly all incidents are resolved: the primary key serves both.

    dependencies = [("incidents", "0014_log_entries_unchecked")]

    operations = [
        migrations.RemoveIndex(model_name="incident", name="incidents_by_status"),
        migrations.RemoveIndex(model_name="incident", name="incidents_by_time"),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(condition=models.Q(("priority", "low")), fields=["-id"], name="incidents_low"),
        ),
    ]

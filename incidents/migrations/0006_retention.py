from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("incidents", "0005_watch")]

    operations = [
        migrations.CreateModel(
            name="Retention",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("due_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("after_id", models.BigIntegerField(default=0)),
                ("removed", models.BigIntegerField(default=0, help_text="Bodies that this pass has removed.")),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("pk", 1)), name="incidents_one_retention")
                ],
            },
        ),
    ]

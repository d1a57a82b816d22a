import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    # The column cost each new incident as much as all its indexes together.

    dependencies = [("incidents", "0012_unchecked_keys")]

    operations = [
        migrations.CreateModel(
            name="SearchEntry",
            fields=[
                (
                    "incident",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="search_entry",
                        serialize=False,
                        to="incidents.incident",
                    ),
                ),
                ("document", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={"verbose_name_plural": "search entries"},
        ),
        migrations.RunSQL(
            """
            SET LOCAL statement_timeout = 0;
            INSERT INTO incidents_searchentry (incident_id, document) SELECT id, search FROM incidents_incident;
            ALTER TABLE incidents_incident DROP COLUMN search;
            """,
            migrations.RunSQL.noop,
        ),
        migrations.AddIndex(
            model_name="searchentry",
            index=django.contrib.postgres.indexes.GinIndex(fields=["document"], name="incidents_search"),
        ),
    ]

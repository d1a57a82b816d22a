from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("incidents", "0016_accepted_ask_again")]

    operations = [
        migrations.RemoveIndex(model_name="incident", name="incidents_by_responder"),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                condition=models.Q(("responder__isnull", False)),
                fields=["responder", "-id", "alert_source", "escalation_policy", "priority"],
                name="incidents_mine",
            ),
        ),
    ]

from django.db import migrations


class Migration(migrations.Migration):
    """Contact methods that are there already have been used until now, and stay usable."""

    dependencies = [
        ("notifications", "0009_verification"),
    ]

    operations = [
        migrations.RunSQL(
            "UPDATE notifications_contactmethod SET verified_at = created_at WHERE verified_at IS NULL",
            migrations.RunSQL.noop,
        ),
    ]

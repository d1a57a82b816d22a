"""Messages from before providers were known belong to one that is called like their channel."""

from django.db import migrations

FILL = """
INSERT INTO notifications_provider (name, failures, pause_seconds, probing, answer)
SELECT DISTINCT channel, 0, 0, FALSE, '' FROM notifications_notification ON CONFLICT DO NOTHING;
UPDATE notifications_notification SET provider_id = channel WHERE provider_id IS NULL;
UPDATE notifications_notification SET first_attempt_at = coalesce(finished_at, created_at)
WHERE attempt_count > 0 AND first_attempt_at IS NULL;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0003_delivery'),
    ]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]

from django.db import migrations

# As `manage.py createcachetable` would; here, so that no second command is needed.
CREATE = """
CREATE TABLE ilert_cache (
    cache_key varchar(255) NOT NULL PRIMARY KEY,
    value text NOT NULL,
    expires timestamp with time zone NOT NULL
);
CREATE INDEX ilert_cache_expires ON ilert_cache (expires);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_addresses_in_lower_case'),
    ]

    operations = [
        migrations.RunSQL(CREATE, "DROP TABLE ilert_cache"),
    ]

from django.db import migrations

# What django-allauth noted when somebody asked for a new password: old addresses signed in through it.
FORGET = "DELETE FROM account_emailconfirmation; DELETE FROM account_emailaddress"


class Migration(migrations.Migration):

    dependencies = [
        ('account', '0009_emailaddress_unique_primary_email'),
        ('accounts', '0007_cache'),
    ]

    operations = [
        migrations.RunSQL(FORGET, migrations.RunSQL.noop),
    ]

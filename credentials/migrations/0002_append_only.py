from django.db import migrations

from runs import guards


class Migration(migrations.Migration):
    dependencies = [("credentials", "0001_initial"), ("runs", "0002_guards")]
    operations = [
        migrations.RunSQL(
            guards.append_only("credentials_lease", writer=False),
            "DROP TRIGGER credentials_lease_append_only ON credentials_lease",
        )
    ]

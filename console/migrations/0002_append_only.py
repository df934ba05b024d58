from django.db import migrations

from runs import guards


class Migration(migrations.Migration):
    dependencies = [("console", "0001_initial"), ("runs", "0002_guards")]
    operations = [
        migrations.RunSQL(
            guards.append_only("console_auditentry"),
            "DROP TRIGGER console_auditentry_append_only ON console_auditentry",
        )
    ]

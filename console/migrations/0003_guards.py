from django.db import migrations

from console import guards


class Migration(migrations.Migration):
    dependencies = [("console", "0002_append_only")]
    operations = [migrations.RunSQL(guards.SQL, guards.UNDO)]

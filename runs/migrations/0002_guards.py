from django.db import migrations

from runs import guards


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]
    operations = [migrations.RunSQL(guards.SQL, guards.UNDO)]

from django.conf import settings
from django.db import migrations

from approvals import locks


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0002_initial"),
        ("runs", "0002_guards"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [migrations.RunSQL(locks.SQL, locks.UNDO)]

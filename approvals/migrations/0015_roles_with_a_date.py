"""Since when somebody has a role, kept by the database beside Django's row."""

from django.conf import settings
from django.db import migrations

from approvals import locks


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0014_breakglass_keys"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunSQL(locks.ROLES, locks.ROLES_UNDO)]

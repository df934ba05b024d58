from django.db import migrations

from approvals import locks


class Migration(migrations.Migration):
    dependencies = [("approvals", "0004_indexes"), ("runs", "0003_settlements")]
    operations = [migrations.RunSQL(locks.SETTLEMENT, locks.SETTLEMENT_UNDO)]

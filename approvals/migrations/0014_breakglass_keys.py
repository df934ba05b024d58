"""That both keys of a broken glass were verified, said by the gatekeeper alone."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from approvals import locks


class Migration(migrations.Migration):
    dependencies = [("approvals", "0013_batches")]

    operations = [
        migrations.CreateModel(
            name="BreakGlassProof",
            fields=[
                (
                    "breakglass",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="proof",
                        serialize=False,
                        to="approvals.breakglass",
                    ),
                ),
                ("tenant", models.CharField(max_length=63)),
                (
                    "because",
                    models.CharField(
                        default="",
                        help_text="why it stays whole; empty when both hold",
                        max_length=255,
                    ),
                ),
                (
                    "verified_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "writer",
                    models.CharField(
                        default="", help_text="database role, by the database", max_length=63
                    ),
                ),
            ],
        ),
        migrations.RunSQL(locks.GLASSKEYS, locks.GLASSKEYS_UNDO),
    ]

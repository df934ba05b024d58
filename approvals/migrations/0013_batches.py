"""Lists of requests of the lowest tier that one person confirmed at once."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import runs.models.ids
from approvals import locks


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0012_canaries"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Batch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=runs.models.ids.new_id, primary_key=True, serialize=False
                    ),
                ),
                ("tenant", models.CharField(max_length=63)),
                (
                    "verdict",
                    models.CharField(
                        choices=[("approve", "Approve"), ("deny", "Deny")], max_length=16
                    ),
                ),
                ("reason", models.CharField(default="", max_length=1000)),
                (
                    "digests",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BinaryField(),
                        help_text="of the requests, in ascending order",
                        size=None,
                    ),
                ),
                (
                    "gates",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(),
                        help_text="where each of the digests is asked about",
                        size=None,
                    ),
                ),
                (
                    "digest",
                    models.BinaryField(help_text="SHA-256 over the list; see approvals.batches"),
                ),
                (
                    "seal",
                    models.BinaryField(
                        help_text="HMAC of the signed-in confirmation; see approvals.batches"
                    ),
                ),
                (
                    "made_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "writer",
                    models.CharField(
                        default="", help_text="database role, by the database", max_length=63
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="decision",
            name="batch",
            field=models.ForeignKey(
                help_text="the list of requests that the person confirmed at once, if it was one",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="decisions",
                to="approvals.batch",
            ),
        ),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["approve", "deny"])),
                name="approvals_batch_verdict",
            ),
        ),
        migrations.RunSQL(locks.BATCHES, locks.BATCHES_UNDO),
    ]

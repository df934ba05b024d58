"""Canaries: requests that can never be paid."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from approvals import locks


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0011_secondlooks"),
        ("runs", "0009_inert_runs"),
    ]

    operations = [
        migrations.CreateModel(
            name="Canary",
            fields=[
                (
                    "step",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="canary",
                        serialize=False,
                        to="runs.step",
                    ),
                ),
                ("tenant", models.CharField(max_length=63)),
                (
                    "flaw",
                    models.CharField(
                        choices=[
                            ("amount", "Ten times the amount"),
                            ("account", "Another account"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "planted_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "writer",
                    models.CharField(
                        default="", help_text="database role, by the database", max_length=63
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        help_text="the payment it is modelled on",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="approvals.gate",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "canaries",
                "indexes": [
                    models.Index(fields=["tenant", "-planted_at"], name="approvals_canary_newest")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("flaw__in", ["amount", "account"])),
                        name="approvals_canary_flaw",
                    )
                ],
            },
        ),
        migrations.RunSQL(locks.CANARIES, locks.CANARIES_UNDO),
    ]

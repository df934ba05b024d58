"""Gates of any tool, what tiers ask for, and approvals that are taken back."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from approvals import locks

# Not only payments spend a clearance.
SPEND = """
DROP TRIGGER approvals_spend ON runs_step;
CREATE TRIGGER approvals_spend BEFORE UPDATE ON runs_step
    FOR EACH ROW WHEN (NEW.needs_consent AND NEW.status = 'running' AND OLD.status <> 'running')
    EXECUTE FUNCTION approvals_spend();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0006_versions"),
        ("runs", "0008_needs_consent"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Revocation",
            fields=[
                (
                    "decision",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="revocation",
                        serialize=False,
                        to="approvals.decision",
                    ),
                ),
                ("tenant", models.CharField(max_length=63)),
                ("reason", models.CharField(max_length=1000)),
                ("seal", models.BinaryField(help_text="HMAC; see decisions.seal_revocation")),
                (
                    "revoked_at",
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
        migrations.CreateModel(
            name="Viewing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("tenant", models.CharField(max_length=63)),
                (
                    "since",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="decision",
            name="approvals_decision_verdict",
        ),
        migrations.RemoveConstraint(
            model_name="gate",
            name="approvals_gate_bytes",
        ),
        migrations.RemoveConstraint(
            model_name="gate",
            name="approvals_gate_digest",
        ),
        migrations.RemoveConstraint(
            model_name="gate",
            name="approvals_gate_status",
        ),
        migrations.RemoveConstraint(
            model_name="gate",
            name="approvals_gate_quorum",
        ),
        migrations.RemoveField(
            model_name="gate",
            name="group",
        ),
        migrations.AddField(
            model_name="decision",
            name="on_behalf_of",
            field=models.ForeignKey(
                help_text="who had delegated their voice to this person",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="decision",
            name="typed",
            field=models.CharField(
                db_default="",
                help_text="the fact that the tier had the person type",
                max_length=128,
            ),
        ),
        migrations.AddField(
            model_name="gate",
            name="clears_at",
            field=models.DateTimeField(help_text="the end of its cooling-off", null=True),
        ),
        migrations.AddField(
            model_name="gate",
            name="escalates_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="gate",
            name="later_groups",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=80),
                db_default=models.Value(
                    [],
                    output_field=django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=80), size=None
                    ),
                ),
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="gate",
            name="supersedes",
            field=models.OneToOneField(
                help_text="the gate whose request was changed into this one",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="superseded_by",
                to="approvals.gate",
            ),
        ),
        migrations.AddField(
            model_name="gate",
            name="tier",
            field=models.CharField(
                choices=[
                    ("confirm", "Confirm"),
                    ("passkey", "Passkey"),
                    ("typed", "Passkey and typed fact"),
                    ("critical", "Second person and cooling-off"),
                ],
                db_default="confirm",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="decision",
            name="method",
            field=models.CharField(
                choices=[("confirm", "Confirmed"), ("passkey", "Passkey"), ("file", "Key file")],
                default="confirm",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="decision",
            name="verdict",
            field=models.CharField(
                choices=[("approve", "Approve"), ("deny", "Deny"), ("changes", "Request changes")],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="gate",
            name="amount_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name="gate",
            name="currency",
            field=models.CharField(default="", max_length=3),
        ),
        migrations.AlterField(
            model_name="gate",
            name="payee",
            field=models.CharField(default="", max_length=255),
        ),
        migrations.AlterField(
            model_name="gate",
            name="quorum",
            field=models.PositiveSmallIntegerField(
                db_default=0, help_text="the fewest people it takes"
            ),
        ),
        migrations.AlterField(
            model_name="gate",
            name="status",
            field=models.CharField(
                choices=[
                    ("open", "Open"),
                    ("approved", "Approved"),
                    ("denied", "Denied"),
                    ("changes_requested", "Changes requested"),
                    ("expired", "Expired"),
                    ("withdrawn", "Withdrawn"),
                    ("revoked", "Revoked"),
                ],
                default="open",
                max_length=24,
            ),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(
                fields=["tenant", "person", "-decided_at"], name="approvals_decision_of"
            ),
        ),
        migrations.AddIndex(
            model_name="gate",
            index=models.Index(
                condition=models.Q(("status", "open")),
                fields=["tenant", "amount_minor", "id"],
                name="approvals_gate_amount",
            ),
        ),
        migrations.AddIndex(
            model_name="gate",
            index=models.Index(
                condition=models.Q(("status", "open")),
                fields=["clears_at"],
                name="approvals_gate_clears",
            ),
        ),
        migrations.AddIndex(
            model_name="gate",
            index=models.Index(
                condition=models.Q(("status", "open"), _negated=True),
                fields=["tenant", "payee", "-closed_at"],
                name="approvals_gate_payee",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["approve", "deny", "changes"])),
                name="approvals_decision_verdict",
            ),
        ),
        migrations.AddConstraint(
            model_name="gate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        [
                            "open",
                            "approved",
                            "denied",
                            "changes_requested",
                            "expired",
                            "withdrawn",
                            "revoked",
                        ],
                    )
                ),
                name="approvals_gate_status",
            ),
        ),
        migrations.AddConstraint(
            model_name="policy",
            constraint=models.UniqueConstraint(
                fields=("tenant", "number"), name="approvals_policy_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="policy",
            constraint=models.UniqueConstraint(
                condition=models.Q(("retired_at__isnull", True)),
                fields=("tenant",),
                name="approvals_policy_in_force",
            ),
        ),
        migrations.AddField(
            model_name="viewing",
            name="gate",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="viewings",
                to="approvals.gate",
            ),
        ),
        migrations.AddField(
            model_name="viewing",
            name="person",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="viewing",
            constraint=models.UniqueConstraint(
                fields=("gate", "person"), name="approvals_viewing_once"
            ),
        ),
        migrations.RunSQL(locks.REVOCATION + locks.LATER + SPEND, migrations.RunSQL.noop),
    ]

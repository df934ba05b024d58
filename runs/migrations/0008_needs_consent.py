"""That a step waits for people is a fact of its own: not only payments do."""

from django.db import migrations, models
from django.db.models import Q

SET = """
    ALTER TABLE runs_step DISABLE TRIGGER runs_step_guard;
    UPDATE runs_step SET needs_consent = true WHERE is_money;
    ALTER TABLE runs_step ENABLE TRIGGER runs_step_guard;
"""
# Rows were changed in this transaction: constraints that wait for its end must be looked at
# before the table is altered.
NOW = "SET CONSTRAINTS ALL IMMEDIATE"


class Migration(migrations.Migration):
    dependencies = [("runs", "0007_lean_indexes")]

    operations = [
        migrations.AddField(
            model_name="step",
            name="needs_consent",
            field=models.BooleanField(
                db_default=False,
                help_text="held until people have consented; told by the database",
            ),
        ),
        migrations.RunSQL([SET, NOW], migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="step", name="runs_step_money_needs_clearance"),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.CheckConstraint(
                condition=Q(needs_consent=False)
                | Q(clearance_id__isnull=False)
                | Q(status__in=["held", "denied", "cancelled"]),
                name="runs_step_needs_clearance",
            ),
        ),
        migrations.RemoveConstraint(model_name="step", name="runs_step_effect_is_declared"),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.CheckConstraint(
                condition=Q(is_remote=False, is_money=False, needs_consent=False, effect="safe")
                | Q(declaration__isnull=False, is_remote=True),
                name="runs_step_effect_is_declared",
            ),
        ),
        migrations.RemoveIndex(model_name="step", name="runs_step_held"),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(
                fields=["id"],
                condition=Q(status="held", needs_consent=True),
                name="runs_step_held",
            ),
        ),
    ]

"""One index where two said nearly the same, on the tables that grow with every step.

A run has one tenant and its id is unique among all tenants, so `(run, seq)` and `(run, position)`
are stricter keys than those that began with the tenant, and serve what is asked by run alone.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_time")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE runs_event DROP CONSTRAINT runs_event_pkey,"
                    " ADD CONSTRAINT runs_event_pkey PRIMARY KEY (run_id, seq)",
                    "ALTER TABLE runs_event DROP CONSTRAINT runs_event_pkey,"
                    " ADD CONSTRAINT runs_event_pkey PRIMARY KEY (tenant, run_id, seq)",
                ),
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="event",
                    name="pk",
                    field=models.CompositePrimaryKey(
                        "run",
                        "seq",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
        ),
        migrations.RemoveIndex(model_name="event", name="runs_event_run"),
        migrations.RemoveConstraint(model_name="step", name="runs_step_position"),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.UniqueConstraint(
                fields=("run", "position"), name="runs_step_position"
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="run",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="steps",
                to="runs.run",
            ),
        ),
        migrations.RemoveConstraint(model_name="run", name="runs_run_started_once"),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.UniqueConstraint(
                fields=("tenant", "idempotency_key"),
                condition=models.Q(("idempotency_key__isnull", False)),
                name="runs_run_started_once",
            ),
        ),
        migrations.RemoveIndex(model_name="run", name="runs_run_newest"),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["tenant", "created_at", "id"], name="runs_run_newest"),
        ),
    ]

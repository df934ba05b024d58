"""Indexes of what a page shows first: questions, and payments that were not made.

They hold the few steps that are so, and cost nothing for all others.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0010_agents")]

    operations = [
        migrations.AddIndex(
            model_name="step",
            index=models.Index(
                condition=models.Q(("kind", "ask"), ("status", "waiting")),
                fields=["id"],
                name="runs_step_asking",
            ),
        ),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(
                condition=models.Q(("status", "failed")),
                fields=["finished_at"],
                name="runs_step_failed",
            ),
        ),
    ]

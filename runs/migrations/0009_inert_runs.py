"""Runs that are there to be looked at: nothing of them is ever started."""

from django.db import migrations, models
from django.db.models import Q

from runs import guards


class Migration(migrations.Migration):
    dependencies = [("runs", "0008_needs_consent")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="is_inert",
            field=models.BooleanField(
                db_default=False, help_text="there to be looked at; nothing of it is ever started"
            ),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=Q(is_inert=False) | Q(status__in=["waiting", "paused", "cancelled"]),
                name="runs_run_inert_is_never_run",
            ),
        ),
        migrations.RunSQL(guards.INERT, guards.INERT_UNDO),
    ]

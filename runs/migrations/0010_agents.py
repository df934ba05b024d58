"""Which agent a workflow is of, and a run since its birth."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0009_inert_runs")]

    operations = [
        migrations.AddField(
            model_name="workflowdeclaration",
            name="agent",
            field=models.CharField(
                default="",
                help_text="on whose part its runs act; empty: nobody said",
                max_length=128,
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="agent",
            field=models.CharField(
                db_default="",
                default="",
                help_text="of its workflow as of its version, by the database; empty: nobody said",
                max_length=128,
            ),
        ),
    ]

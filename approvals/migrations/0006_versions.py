"""Versions of a policy as documents, gates of any tool, and approvals that are taken back.

Gates of older releases were about other bytes. Those that are open and undecided are opened
anew by the gatekeeper; with decisions that would be lost, the migration refuses.
"""

import hashlib

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import runs.models.ids
from approvals import locks
from runs import canonical

NAMES = django.contrib.postgres.fields.ArrayField
NONE_LONG = models.Value([], output_field=NAMES(models.CharField(max_length=128)))
NONE = models.Value([], output_field=NAMES(models.CharField(max_length=80)))

UNDECIDED = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM approvals_gate g WHERE g.status = 'open'
               AND EXISTS (SELECT FROM approvals_decision d WHERE d.gate_id = g.id))
       OR EXISTS (SELECT FROM approvals_clearance c JOIN runs_step s ON s.id = c.step_id
                  WHERE s.status NOT IN ('succeeded', 'failed', 'denied', 'cancelled')) THEN
        RAISE EXCEPTION 'Gates with decisions, or payments that are cleared and not made, wait in '
            'this database. Let the old release end them (or cancel their runs), then migrate; '
            'nothing was changed.';
    END IF;
    UPDATE runs_step SET held_because = '' WHERE status = 'held' AND id IN (
        SELECT step_id FROM approvals_gate WHERE status = 'open');
    DELETE FROM approvals_gate WHERE status = 'open';
END $$;
SET CONSTRAINTS ALL IMMEDIATE;
"""


def rule_of(old):
    return {
        "name": old.name,
        "when": {
            "tools": [old.tool],
            "amounts": [
                {
                    "currency": old.currency,
                    "above_minor": old.above_minor,
                    "up_to_minor": old.up_to_minor,
                }
            ],
        },
        "then": {
            "consent": {
                "tier": "confirm",
                "mode": "all",
                "thresholds": [
                    {
                        "name": old.group,
                        "group": old.group,
                        "role": None,
                        "count": old.quorum,
                        "member_for_seconds": 0,
                    }
                ],
                "expires_after_seconds": old.expires_after_seconds,
                "remind_after_seconds": 0,
                "escalation": None,
                "cooling_off_seconds": 0,
                "dwell_seconds": 0,
            }
        },
    }


def publish(apps, tenant, number, rules, retired_at):
    document = canonical.encode(
        {"v": 1, "rules": [rule_of(rule) for rule in rules], "lists": {}, "freezes": []}
    )
    return apps.get_model("approvals", "Policy").objects.create(
        tenant=tenant,
        number=number,
        document=document,
        digest=hashlib.sha256(b"placet/policy/v1\0" + document).digest(),
        tools=sorted({rule.tool for rule in rules}),
        retired_at=retired_at,
    )


def versions(apps, editor):
    """The first version has every rule that there ever was, for the gates that are closed."""
    every = apps.get_model("approvals", "Rule").objects.order_by("position")
    gates = apps.get_model("approvals", "Gate").objects
    for tenant in sorted(set(every.values_list("tenant", flat=True))):
        rules = list(every.filter(tenant=tenant))
        now = django.db.models.functions.datetime.Now()
        former = publish(apps, tenant, 1, rules, now)
        publish(apps, tenant, 2, [rule for rule in rules if rule.retired_at is None], None)
        for index, rule in enumerate(rules):
            gates.filter(old_rule=rule).update(
                policy=former,
                rule=index,
                rule_name=rule.name,
                needs=rule_of(rule)["then"],
                groups=[rule.group],
            )


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0005_settlements"),
        ("runs", "0008_needs_consent"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(UNDECIDED, migrations.RunSQL.noop),
        migrations.RunSQL(
            "ALTER TABLE approvals_gate DISABLE TRIGGER approvals_gate_guard",
            migrations.RunSQL.noop,
        ),
        migrations.RenameModel("Policy", "Rule"),
        migrations.RenameField("gate", "policy", "old_rule"),
        migrations.CreateModel(
            name="Policy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=runs.models.ids.new_id, primary_key=True, serialize=False
                    ),
                ),
                ("tenant", models.CharField(max_length=63)),
                ("number", models.PositiveIntegerField(help_text="counted from 1 in each tenant")),
                (
                    "document",
                    models.BinaryField(
                        help_text="RFC 8785 bytes of the rules in their normal form"
                    ),
                ),
                (
                    "digest",
                    models.BinaryField(help_text="SHA-256 over the domain tag and the document"),
                ),
                (
                    "tools",
                    NAMES(
                        base_field=models.CharField(max_length=128),
                        db_default=NONE_LONG,
                        help_text="the tools that a rule names, by the database: "
                        "their steps are held",
                        size=None,
                    ),
                ),
                (
                    "published_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("retired_at", models.DateTimeField(null=True)),
            ],
            options={"verbose_name_plural": "policies"},
        ),
        migrations.AddField(
            "gate",
            "policy",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="approvals.policy",
            ),
        ),
        migrations.AddField(
            "gate",
            "rule",
            models.PositiveIntegerField(
                default=0, help_text="which of the policy's rules decided, from 0"
            ),
        ),
        migrations.AddField("gate", "rule_name", models.CharField(max_length=128, default="")),
        migrations.AddField(
            "gate",
            "needs",
            models.JSONField(default=dict, help_text="what that rule asks for, word for word"),
        ),
        migrations.AddField(
            "gate", "groups", NAMES(models.CharField(max_length=80), db_default=NONE, size=None)
        ),
        migrations.RunPython(versions, migrations.RunPython.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RemoveField("gate", "old_rule"),
        migrations.DeleteModel("Rule"),
        migrations.AlterField(
            "gate",
            "policy",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="approvals.policy",
            ),
        ),
        migrations.AlterField(
            "gate",
            "rule",
            models.PositiveIntegerField(help_text="which of the policy's rules decided, from 0"),
        ),
        migrations.AlterField("gate", "rule_name", models.CharField(max_length=128)),
        migrations.AlterField(
            "gate",
            "needs",
            models.JSONField(help_text="what that rule asks for, word for word"),
        ),
        migrations.RunSQL(
            "ALTER TABLE approvals_gate ENABLE TRIGGER approvals_gate_guard",
            migrations.RunSQL.noop,
        ),
        # That of the rules of older releases went with their table, but for its function.
        migrations.RunSQL(
            "DROP FUNCTION IF EXISTS approvals_guard_policy()", migrations.RunSQL.noop
        ),
        migrations.RunSQL(locks.POLICY, migrations.RunSQL.noop),
    ]

"""`manage.py policy`: publish, list and retire rules. Runs as the owner."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from approvals.errors import PolicyRefused
from approvals.models import Policy, Reviewer
from approvals.policies import publish_policy, retire_policy
from console import audit
from console.management.money import minor_units, money
from console.management.people import plain, table
from console.management.plain import PlainCommand
from console.models import DEFAULT_TENANT
from runs.models import Declaration

MAX_NAME_LENGTH = 128
MAX_GROUP_LENGTH = 63


class Command(PlainCommand):
    help = "Publish, list and retire the rules that say whose consent a payment needs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="publish a rule; it is tried after those before it")
        add.add_argument("name")
        add.add_argument("--tenant", default=DEFAULT_TENANT)
        add.add_argument("--tool", required=True)
        add.add_argument("--currency", required=True, help="ISO 4217, such as EUR")
        least = add.add_mutually_exclusive_group()
        least.add_argument("--above", default="0", help="matches amounts over this, as 500.00")
        least.add_argument("--above-minor", type=int, help="the same in minor units")
        limit = add.add_mutually_exclusive_group(required=True)
        limit.add_argument("--up-to", help="... and up to and including this, as 10000.00")
        limit.add_argument("--up-to-minor", type=int, help="the same in minor units")
        add.add_argument("--group", required=True, help="whose members decide")
        add.add_argument("--quorum", type=int, required=True, help="how many must approve")
        add.add_argument(
            "--unknown-tool", action="store_true", help="publish it before the tool is declared"
        )
        add.add_argument("--expires-hours", type=int, default=72, help="silence is refusal")
        verbs.add_parser("list", help="the rules, in the order they are tried")
        retire = verbs.add_parser("retire", help="no longer apply a rule to new gates")
        retire.add_argument("id")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "add":
            self._add(options)
        elif verb == "retire":
            self._retire(options["id"])
        else:
            self._list()

    @transaction.atomic
    def _add(self, options: dict[str, Any]) -> None:
        _check(options)
        _check_tool(options)
        above, up_to = _band(options)
        try:
            policy = publish_policy(
                tenant=options["tenant"],
                name=options["name"],
                tool=options["tool"],
                currency=options["currency"],
                above_minor=above,
                up_to_minor=up_to,
                group=options["group"],
                quorum=options["quorum"],
                expires_after_seconds=options["expires_hours"] * 3600,
            )
        except PolicyRefused as error:
            raise CommandError(plain(str(error))) from None
        _record(policy, "policy_published")
        self.stdout.write(str(policy.id))
        self._warn(policy)

    def _warn(self, policy: Policy) -> None:
        group = Reviewer.objects.filter(tenant=policy.tenant, group=policy.group)
        members = group.filter(person__is_active=True).count()
        if members < policy.quorum:
            self.stderr.write(
                f"The rule needs {policy.quorum} of {plain(policy.group)}, which has {members}:"
                " until people are added, its payments are held."
            )

    @transaction.atomic
    def _retire(self, given: str) -> None:
        try:
            policy = Policy.objects.get(id=uuid.UUID(given))
        except (ValueError, Policy.DoesNotExist):
            raise CommandError(f"There is no policy {plain(given)!r}.") from None
        try:
            retire_policy(policy)
        except PolicyRefused as error:
            raise CommandError(plain(str(error))) from None
        _record(policy, "policy_retired")
        self.stdout.write(f"Policy {policy.name} is retired.")

    def _list(self) -> None:
        policies = Policy.objects.order_by("tenant", "retired_at", "position")
        rows = [
            (
                policy.id,
                policy.tenant,
                policy.name,
                policy.tool,
                money(policy.above_minor, policy.currency),
                money(policy.up_to_minor, policy.currency),
                f"{policy.quorum} of {policy.group}",
                f"{policy.expires_after_seconds / 3600:g} h",
                "retired" if policy.retired_at else "in force",
            )
            for policy in policies
        ]
        heads = ("ID", "TENANT", "NAME", "TOOL", "ABOVE", "UP TO", "NEEDS", "EXPIRES", "STATE")
        self.stdout.write(table(heads, rows) if rows else "There are no policies.")


def _check(options: dict[str, Any]) -> None:
    for name, most in (("name", MAX_NAME_LENGTH), ("tool", MAX_NAME_LENGTH),
                       ("group", MAX_GROUP_LENGTH), ("tenant", MAX_GROUP_LENGTH)):  # fmt: skip
        text = options[name]
        if not 0 < len(text) <= most or not text.isprintable():
            raise CommandError(f"The {name} must be 1 to {most} printable characters.")


def _check_tool(options: dict[str, Any]) -> None:
    declared = Declaration.objects.filter(is_money=True, is_current=True, tool=options["tool"])
    if not options["unknown_tool"] and not declared.exists():
        raise CommandError(
            f"No tool named {options['tool']!r} that moves money is declared; say --unknown-tool"
            " to publish a rule for one that will be."
        )


def _band(options: dict[str, Any]) -> tuple[int, int]:
    try:
        return _amount(options, "above"), _amount(options, "up_to")
    except ValueError as error:
        raise CommandError(str(error)) from None


def _amount(options: dict[str, Any], name: str) -> int:
    """Minor units are read as the decimals they stand for, so that one rule checks both."""
    minor, currency = options[f"{name}_minor"], options["currency"]
    if minor is None:
        return minor_units(options[name], currency)
    return minor_units(money(minor, currency).split()[0].replace(",", ""), currency)


def _record(policy: Policy, action: str) -> None:
    audit.record(
        actor="manage.py",
        tenant=policy.tenant,
        action=action,
        subject=policy.name,
        subject_id=policy.id,
        detail={
            "tool": policy.tool,
            "currency": policy.currency,
            "above_minor": policy.above_minor,
            "up_to_minor": policy.up_to_minor,
            "group": policy.group,
            "quorum": policy.quorum,
            "expires_after_seconds": policy.expires_after_seconds,
        },
    )

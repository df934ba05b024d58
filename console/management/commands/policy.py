"""`manage.py policy`: publish, list and retire rules and whole documents. Runs as the owner."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from approvals.errors import PolicyRefused
from approvals.models import Policy, Reviewer
from approvals.policies import publish_policy, remove_rule
from console import audit
from console.management import drafts
from console.management.money import minor_units, money
from console.management.people import plain, table
from console.management.plain import PlainCommand
from console.models import DEFAULT_TENANT
from runs.models import Declaration

MAX_NAME_LENGTH = 128
MAX_GROUP_LENGTH = 63


class Command(PlainCommand):
    help = "Publish, try and show the rules that say whose consent a payment needs."

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
        verbs.add_parser("list", help="the rules in force, in the order they are tried")
        retire = verbs.add_parser("retire", help="no longer apply a rule to new gates")
        retire.add_argument("name")
        retire.add_argument("--tenant", default=DEFAULT_TENANT)
        drafts.add_verbs(verbs)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "add":
            self._add(options)
        elif verb == "retire":
            self._retire(options)
        elif verb in drafts.VERBS:
            drafts.VERBS[verb](self, options)
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
        _record(policy, "policy_published", options["name"])
        self.stdout.write(str(policy.id))
        self._warn(options)

    def _warn(self, options: dict[str, Any]) -> None:
        group = Reviewer.objects.filter(tenant=options["tenant"], group=options["group"])
        members = group.filter(person__is_active=True).count()
        if members < options["quorum"]:
            self.stderr.write(
                f"The rule needs {options['quorum']} of {plain(options['group'])}, which has"
                f" {members}: until people are added, its payments are held."
            )

    @transaction.atomic
    def _retire(self, options: dict[str, Any]) -> None:
        try:
            policy = remove_rule(options["tenant"], options["name"])
        except PolicyRefused as error:
            raise CommandError(plain(str(error))) from None
        _record(policy, "policy_published", options["name"])
        self.stdout.write(
            f"Version {policy.number} is in force, without the rule {plain(options['name'])}."
        )

    def _list(self) -> None:
        policies = Policy.objects.filter(retired_at=None).order_by("tenant")
        rows = [
            (policy.tenant, policy.number, no + 1, rule["name"], _when(rule), _then(rule))
            for policy in policies
            for no, rule in enumerate(policy.body["rules"])
        ]
        heads = ("TENANT", "VERSION", "RULE", "NAME", "WHEN", "THEN")
        self.stdout.write(table(heads, rows) if rows else "There are no rules in force.")


def _when(rule: dict[str, Any]) -> str:
    """The conditions in a line: what it is about, and the names of the others."""
    when = rule["when"]
    bands = [
        f"{money(band['above_minor'], band['currency'])} to"
        f" {money(band['up_to_minor'], band['currency'])}"
        for band in when.get("amounts", ())
    ]
    others = [name for name in when if name not in ("tools", "amounts")]
    return "; ".join([*when.get("tools", ()), *bands, *others]) or "everything"


def _then(rule: dict[str, Any]) -> str:
    then = rule["then"]
    if "consent" not in then:
        return str(next(iter(then)))
    consent = then["consent"]
    asked = [f"{one['count']} of {one['group'] or one['role']}" for one in consent["thresholds"]]
    word = " or " if consent["mode"] == "any" else " and "
    return f"{word.join(asked)}, {consent['tier']}, {consent['expires_after_seconds'] / 3600:g} h"


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


def _record(policy: Policy, action: str, rule: str) -> None:
    audit.record(
        actor="manage.py",
        tenant=policy.tenant,
        action=action,
        subject=f"Policy version {policy.number}",
        subject_id=policy.id,
        detail={"version": policy.number, "rule": rule, "digest": bytes(policy.digest).hex()},
    )

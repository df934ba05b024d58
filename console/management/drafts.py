"""The verbs of `manage.py policy` that take whole documents from files, or print them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from approvals import limits, policies
from approvals.envelope import phrase
from approvals.errors import PolicyRefused
from approvals.models import Policy
from approvals.rules import document as documents
from approvals.rules import replay, short, telling
from approvals.rules.cases import read_cases
from approvals.rules.faults import InvalidPolicy
from console import audit, rulebook
from console.management.people import plain, table
from console.models import DEFAULT_TENANT
from console.pages.policywords import ORDER

Document = dict[str, Any]
Options = dict[str, Any]
Made = TypeVar("Made")


def add_verbs(verbs: Any) -> None:
    show = _verb(verbs, "show", "print a version as it can be read again", [])
    show.add_argument("--version", type=int, help="the version in force, without it")
    show.add_argument("--json", action="store_true", help="JSON in the place of YAML")
    publish = _verb(verbs, "publish", "put a whole document into force", ["file"])
    publish.add_argument(
        "--ahead-of-people",
        action="store_true",
        help="also where nobody could satisfy a rule yet; until then its requests are held",
    )
    _verb(verbs, "test", "hold a document to the cases in a file", ["file", "cases"])
    simulate = _verb(verbs, "simulate", "what a document would say of past requests", ["file"])
    simulate.add_argument(
        "--most", type=int, default=replay.USUALLY, help=f"up to {limits.MAX_SIMULATED}"
    )
    diff = _verb(verbs, "diff", "what a document does otherwise", ["file"])
    diff.add_argument("other", nargs="?", help="in its place; else against the version in force")


def _verb(verbs: Any, name: str, help: str, files: list[str]) -> ArgumentParser:
    parser: ArgumentParser = verbs.add_parser(name, help=help)
    for file in files:
        parser.add_argument(file)
    parser.add_argument("--tenant", default=DEFAULT_TENANT)
    return parser


def _show(command: BaseCommand, options: Options) -> None:
    versions = Policy.objects.filter(tenant=options["tenant"])
    number = options["version"]
    found = versions.filter(retired_at=None) if number is None else versions.filter(number=number)
    version = found.first()
    if version is None:
        what = "No version is in force" if number is None else f"There is no version {number}"
        raise CommandError(f"{what} for the tenant {plain(options['tenant'])}.")
    if options["json"]:
        command.stdout.write(documents.to_json(version.body), ending="")
        return
    until = f" to {version.retired_at:%Y-%m-%d %H:%M:%S} UTC" if version.retired_at else ""
    since = f"in force from {version.published_at:%Y-%m-%d %H:%M:%S} UTC{until}"
    command.stdout.write(f"# Version {version.number} of {plain(version.tenant)}, {since}")
    command.stdout.write(f"# {bytes(version.digest).hex()} ({phrase(bytes(version.digest))})")
    command.stdout.write(short.to_yaml(version.body), ending="")


@transaction.atomic
def _publish(command: BaseCommand, options: Options) -> None:
    tenant, made = options["tenant"], _document(options["file"])
    policies.lock(tenant)
    if rulebook.document_of(policies.in_force(tenant)) == made:
        raise CommandError("This is in force already; nothing was published.")
    try:
        policies.check(tenant, made)
    except PolicyRefused as refusal:
        if not options["ahead_of_people"]:
            raise CommandError(f"{plain(str(refusal))} Nothing was published.") from None
        command.stderr.write(f"{plain(str(refusal))} Until then its requests are held.")
    _warn(command, made)
    version = policies.publish(tenant=tenant, document=made)
    digest = bytes(version.digest)
    audit.record(
        actor="manage.py",
        tenant=tenant,
        action="policy_published",
        subject=f"Policy version {version.number}",
        subject_id=version.id,
        detail={"version": version.number, "rules": len(made["rules"]), "digest": digest.hex()},
    )
    command.stdout.write(f"Version {version.number} is in force: {phrase(digest)}.")


def _test(command: BaseCommand, options: Options) -> None:
    made = _document(options["file"])
    cases = _read(options["cases"], read_cases)
    _warn(command, made)
    wrong = 0
    for case in cases:
        outcome, difference = case.difference(made)
        wrong += bool(difference)
        command.stdout.write(f"{'differs' if difference else 'ok     '}  {plain(case.name)}")
        if difference:
            command.stdout.write(f"         {plain(difference)}. {plain(outcome.because)}")
    if wrong:
        raise CommandError(f"{wrong} of {len(cases)} cases are not answered as expected.")
    command.stdout.write(f"All {len(cases)} cases are answered as expected.")


def _simulate(command: BaseCommand, options: Options) -> None:
    made = _document(options["file"])
    try:
        asked = replay.simulate(tenant=options["tenant"], draft=made, most=options["most"])
        replayed = list(asked)
    except ValueError as refusal:
        raise CommandError(str(refusal)) from None
    counts = replay.count(replayed)
    for change in ORDER:
        command.stdout.write(f"{counts[change]:>6}  {change}")
    for change in ORDER[:-1]:
        for one in (one for one in replayed if one.change == change):
            where = f"gate {one.gate_id}" if one.gate_id else f"run {one.request.run_id}"
            command.stdout.write(f"\n{change}: {plain(one.request.tool)}, {where}")
            command.stdout.write(f"  in force: {one.before.kind}. {plain(one.before.because)}")
            command.stdout.write(f"  this one: {one.after.kind}. {plain(one.after.because)}")


def _diff(command: BaseCommand, options: Options) -> None:
    first = _document(options["file"])
    if options["other"] is None:
        old, new = rulebook.document_of(policies.in_force(options["tenant"])), first
    else:
        old, new = first, _document(options["other"])
    found = telling.diff(old, new)
    for one in found:
        command.stdout.write(plain(one.text))
        for phrases, sign in ((one.gone, "-"), (one.come, "+")):
            for said in phrases:
                command.stdout.write(f"  {sign} {plain(said)}")
    if not found:
        command.stdout.write("They differ in nothing.")


VERBS: dict[str, Callable[[BaseCommand, Options], None]] = {
    "show": _show,
    "publish": _publish,
    "test": _test,
    "simulate": _simulate,
    "diff": _diff,
}


def _warn(command: BaseCommand, document: Document) -> None:
    """What may be a slip, and keeps nobody from publishing."""
    for at, said in policies.unheld(document):
        command.stderr.write(f"{plain(at)}: {plain(said)}")


def _document(path: str) -> Document:
    return _read(path, documents.from_text)


def _read(path: str, read: Callable[[str], Made]) -> Made:
    """What stands in a file. Raises `CommandError` with every fault and its place."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(limits.MAX_POLICY_TEXT + 1)
        return read(raw.decode("utf-8-sig"))
    except OSError as error:
        raise CommandError(f"{plain(path)} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{plain(path)} is not text in UTF-8.") from None
    except InvalidPolicy as refusal:
        rows = [(at or "(the whole)", said) for at, said in refusal.errors]
        faults = "1 fault" if len(rows) == 1 else f"{len(rows)} faults"
        told = table(("PLACE", "FAULT"), rows)
        raise CommandError(f"{plain(path)} has {faults}:\n{told}") from None

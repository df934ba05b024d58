"""`manage.py decide GATE --user U --approve|--deny`: a person's verdict, from a terminal."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, cast

from django.core.management.base import CommandError

from approvals.envelope import phrase
from approvals.errors import DecisionRefused
from approvals.gates import envelope_of
from approvals.models import Gate
from console import access, deeds
from console.management.money import money
from console.management.people import confirm, person_named, plain, prove
from console.management.plain import PlainCommand
from console.pages.facts import who_words


class Command(PlainCommand):
    help = "Approve or deny at a gate, as a person who proves to be that person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("gate", help="the gate's id, as `gates` shows it")
        parser.add_argument("--user", required=True, help="who decides")
        verdict = parser.add_mutually_exclusive_group(required=True)
        verdict.add_argument("--approve", dest="verdict", action="store_const", const="approve")
        verdict.add_argument("--deny", dest="verdict", action="store_const", const="deny")
        parser.add_argument("--reason", default="", help="a denial needs one")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, gate: str, **options: Any) -> None:
        verdict = cast(deeds.Verdict, options["verdict"])
        person = person_named(options["user"])
        prove(person)
        try:
            found = access.access_gate_by_id(person, gate, right="gates.decide")
            self.stdout.write(_facts(found))
            if not options["yes"]:
                confirm(f"{verdict.capitalize()} as {person.username}?")
            deeds.decide_at_gate(
                person,
                found.id,
                verdict=verdict,
                reason=options["reason"],
                digest=bytes(found.digest).hex(),
            )
        except (access.Refused, DecisionRefused) as refusal:
            raise CommandError(plain(str(refusal))) from None
        self.stdout.write(f"Recorded: {person.username} says {verdict}.")


def _facts(gate: Gate) -> str:
    """What is consented to, read from the envelope and not from the columns for lists."""
    envelope = envelope_of(gate)
    paid = envelope["money"]
    pays = paid and [
        ("Pay", money(paid["amount_minor"], paid["currency"])),
        ("To", f"{paid['payee_name']} {paid['payee']}".strip()),
    ]
    lines = [
        *(pays or ()),
        ("Tool", envelope["tool"]),
        *((f"  {name}", value) for name, value in sorted(envelope["arguments"].items())),
        ("Requester", envelope["requester"]),
        ("Workflow", f"{envelope['workflow']}, run {envelope['run']}"),
        ("Policy", f"{gate.rule_name} (version {envelope['policy']['number']})"),
        ("Asks", who_words(gate)),
        ("Expires", envelope["expires_at"]),
        ("Digest", bytes(gate.digest).hex()),
        ("Phrase", phrase(bytes(gate.digest))),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{plain(name):<{width}}  {plain(str(value))}" for name, value in lines)

"""`manage.py decide GATE --user U --approve|--deny`: a person's verdict, from a terminal."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management.base import CommandError

from approvals import batches, canaries, eligibility, signing, typed
from approvals.envelope import digest as digest_of
from approvals.envelope import envelope_of, phrase
from approvals.errors import DecisionRefused
from approvals.models import Gate
from approvals.signing import Signed
from console import access, deeds
from console.batching import Item, decide_together
from console.management import keyfiles
from console.management.money import money
from console.management.people import confirm, person_named, plain, prove
from console.management.plain import PlainCommand
from console.models import User
from console.pages.facts import who_words
from runs.models import new_id


class Command(PlainCommand):
    help = "Approve or deny at a gate, as a person who proves to be that person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("gate", nargs="+", help="the gate's id, as `gates` shows it")
        parser.add_argument("--user", required=True, help="who decides")
        verdict = parser.add_mutually_exclusive_group(required=True)
        verdict.add_argument("--approve", dest="verdict", action="store_const", const="approve")
        verdict.add_argument("--deny", dest="verdict", action="store_const", const="deny")
        parser.add_argument("--reason", default="", help="a denial needs one")
        parser.add_argument("--key", type=Path, help="the key file that signs; see `key`")
        parser.add_argument("--typed", default="", help="the amount, or the end of the account")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, gate: list[str], **options: Any) -> None:
        verdict = cast(deeds.Verdict, options["verdict"])
        person = person_named(options["user"])
        key = keyfiles.read(options["key"]) if options["key"] else None
        prove(person)
        try:
            if len(gate) > 1:
                self._together(person, gate, verdict, options)
                return
            found = access.access_gate_by_id(person, gate[0], right="gates.decide")
            self.stdout.write(_facts(found))
            if not options["yes"]:
                confirm(f"{verdict.capitalize()} as {person.username}?")
            deeds.decide_at_gate(
                person,
                found.id,
                verdict=verdict,
                reason=options["reason"],
                digest=digest_of(bytes(found.envelope)).hex(),
                typed=options["typed"],
                signed=_signed(key, found, person, verdict, options) if key else None,
            )
        except (access.Refused, DecisionRefused) as refusal:
            raise CommandError(plain(str(refusal))) from None
        self.stdout.write(f"Recorded: {person.username} says {verdict}.")
        told = canaries.told_to(found, person)
        if told is not None:
            self.stdout.write(plain(told.text))

    def _together(
        self, person: User, ids: list[str], verdict: deeds.Verdict, options: dict[str, Any]
    ) -> None:
        """Several gates of the lowest tier: each is shown, and one confirmation is asked for."""
        if options["key"] or options["typed"]:
            raise CommandError("A key signs one gate at a time, and so is a fact typed.")
        batches.check_size(len(ids))
        found = [access.access_gate_by_id(person, id, right="gates.decide") for id in ids]
        digests = [digest_of(bytes(gate.envelope)) for gate in found]
        for gate in found:
            batches.check_tier(gate)
            self.stdout.write(f"{_facts(gate)}\n")
        listed = batches.digest_of(digests)
        self.stdout.write(f"The list  {listed.hex()}\n          {phrase(listed)}")
        if not options["yes"]:
            confirm(f"{verdict.capitalize()} all {len(found)} as {person.username}?")
        said = decide_together(
            person,
            id=new_id(),
            items=[
                Item(gate_id=gate.pk, digest=digest.hex())
                for gate, digest in zip(found, digests, strict=True)
            ],
            verdict=verdict,
            reason=options["reason"],
        )
        for row in said.rows:
            told = f"not recorded: {row.refusal}" if row.refusal else f"recorded: {verdict}"
            self.stdout.write(plain(f"{row.gate.pk}  {told}"))
            if canary := canaries.told_to(row.gate, person):
                self.stdout.write(plain(canary.text))


def _signed(
    key: Ed25519PrivateKey, gate: Gate, person: User, verdict: str, said: dict[str, Any]
) -> Signed:
    """What the file signs: made from the bytes that were shown, and from nothing that web says."""
    challenge = signing.challenge_for(
        tenant=person.tenant,
        gate_id=gate.id,
        digest=digest_of(bytes(gate.envelope)),
        verdict=verdict,
        person_id=person.pk,
        on_behalf_of_id=eligibility.principal_of(gate, person),
        reason=said["reason"].strip(),
        typed=typed.normal(said["typed"]),
    )
    public = key.public_key().public_bytes_raw()
    return Signed(key_id=signing.key_of_file(person, public), answer=keyfiles.sign(key, challenge))


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
        ("Agent", envelope["circumstances"]["agent"] or "none declared"),
        ("Policy", f"{gate.rule_name} (version {envelope['policy']['number']})"),
        ("Asks", who_words(gate)),
        ("Expires", envelope["expires_at"]),
        # Worked out here, from the bytes: a second surface believes no column.
        ("Digest", digest_of(bytes(gate.envelope)).hex()),
        ("Phrase", phrase(digest_of(bytes(gate.envelope)))),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{plain(name):<{width}}  {plain(str(value))}" for name, value in lines)

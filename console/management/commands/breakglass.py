"""`manage.py breakglass`: break the glass from a terminal, with a key file that signs for it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from approvals import glasskeys, signing
from approvals.errors import ApprovalsError
from approvals.limits import BREAKGLASS_MINUTES
from approvals.models import BreakGlass
from approvals.signing import Signed
from console import access
from console.management import keyfiles
from console.management.people import confirm, person_named, plain, prove, table
from console.management.plain import PlainCommand
from console.models import User
from console.safeguards import breaking


class Command(PlainCommand):
    help = "Break the glass with a second person, each with a key file, and review it afterwards."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        opening = verbs.add_parser("open", help="ask to break it")
        opening.add_argument("--scope", choices=BreakGlass.Scope.values, default="everything")
        opening.add_argument("--subject", default="", help="which tool or workflow")
        opening.add_argument("--minutes", type=int, default=BREAKGLASS_MINUTES // 2)
        opening.add_argument("--reason", required=True, help="others read it")
        confirming = verbs.add_parser("confirm", help="as the second person")
        reviewing = verbs.add_parser("review", help="say afterwards what you found")
        reviewing.add_argument("--found", required=True, help="others read it")
        listed = verbs.add_parser("list", help="who broke it, who asks to")
        for verb in (confirming, reviewing):
            verb.add_argument("glass", help="its id, as `breakglass list` shows it")
        for verb in (opening, confirming):
            verb.add_argument("--key", type=Path, required=True, help="the key file that signs")
        for verb in (opening, confirming, reviewing):
            verb.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        for verb in (opening, confirming, reviewing, listed):
            verb.add_argument("--user", required=True, help="who it is; their password is asked")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        person = person_named(options["user"])
        key = keyfiles.read(options["key"]) if options.get("key") else None
        prove(person)
        deed = {"open": self._open, "confirm": self._confirm, "review": self._review}
        try:
            if verb == "list":
                self._list(person)
            else:
                deed[verb](person, key, options)
        except (access.Refused, ApprovalsError) as refusal:
            raise CommandError(plain(str(refusal))) from None

    def _open(self, person: User, key: Any, options: dict[str, Any]) -> None:
        told = {name: options[name] for name in ("scope", "subject", "minutes", "reason")}
        access.require(person, "breakglass.open")
        glass = glasskeys.asked(tenant=person.tenant, person=person, **told)
        self.stdout.write(_facts(glass))
        _ask(options, f"Ask to break the glass as {person.username}?")
        signed = _signed(person, key, glasskeys.opening_challenge(glass))
        made = breaking.open_glass(person, id=glass.pk, **told, signed=signed)
        self.stdout.write(f"{made.pk} waits for a second person to confirm it.")

    def _confirm(self, person: User, key: Any, options: dict[str, Any]) -> None:
        glass = breaking.access_glass(person, options["glass"], right="breakglass.open")
        self.stdout.write(_facts(glass))
        _ask(options, f"Confirm it as {person.username}?")
        signed = _signed(person, key, glasskeys.confirming_challenge(glass, person.pk))
        breaking.confirm_glass(person, glass.pk, signed=signed)
        self.stdout.write("Confirmed; it is broken once the gatekeeper has verified both keys.")

    def _review(self, person: User, _key: Any, options: dict[str, Any]) -> None:
        glass = breaking.access_glass(person, options["glass"], right="breakglass.review")
        self.stdout.write(_facts(glass))
        _ask(options, f"Review it as {person.username}?")
        breaking.review_glass(person, glass.pk, found=options["found"])
        self.stdout.write("It is reviewed.")

    def _list(self, person: User) -> None:
        rows = [
            (one.pk, one.opened_by.get_username(), _second(one), one.scope, one.subject, _end(one))
            for one in breaking.find_glasses(person)
        ]
        heads = ("ID", "OPENED BY", "CONFIRMED BY", "SCOPE", "SUBJECT", "STATE")
        self.stdout.write(table(heads, rows) if rows else "Nobody has broken the glass.")


def _second(glass: BreakGlass) -> str:
    second = getattr(glass, "confirmation", None)
    return second.person.get_username() if second else "nobody yet"


def _end(glass: BreakGlass) -> str:
    if hasattr(glass, "review"):
        return "reviewed"
    if not hasattr(glass, "confirmation"):
        return "waits for a second person"
    if not hasattr(glass, "proof"):
        return "waits for the gatekeeper"
    if glass.proof.because:
        return f"not broken: {glass.proof.because}"
    if getattr(glass, "is_stopped", False):
        return "ended, since a key was revoked; to be reviewed"
    return f"until {glass.confirmation.until:%Y-%m-%d %H:%M} UTC, to be reviewed"


def _facts(glass: BreakGlass) -> str:
    """What is signed about, from the very statement: a second surface believes no page."""
    lines = (
        ("Opened by", glass.opened_by.get_username()),
        ("Where", f"{glass.scope} {glass.subject}".strip()),
        ("How long", f"{glass.minutes} minutes from the confirmation"),
        ("Why", glass.reason),
        ("Signed", glasskeys.opening_challenge(glass).hex()),
    )
    return "\n".join(f"{name:<9}  {plain(value)}" for name, value in lines)


def _ask(options: dict[str, Any], question: str) -> None:
    if not options["yes"]:
        confirm(question)


def _signed(person: User, key: Any, challenge: bytes) -> Signed:
    public = key.public_key().public_bytes_raw()
    return Signed(key_id=signing.key_of_file(person, public), answer=keyfiles.sign(key, challenge))

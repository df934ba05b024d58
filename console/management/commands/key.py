"""`manage.py key`: make a key file, print its public key, enrol it, list and revoke keys."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from approvals.enrolment import Enrolment
from approvals.errors import ApprovalsError
from console import access, keyring
from console.management import keyfiles
from console.management.people import person_named, plain, prove, table
from console.management.plain import PlainCommand
from console.safeguards import changing


class Command(PlainCommand):
    help = "Make, enrol, list and revoke the keys that sign decisions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        generate = verbs.add_parser("generate", help="write a new key file, print its public key")
        generate.add_argument("file", type=Path, help="must not be there yet")
        show = verbs.add_parser("show", help="print the public key of a file")
        show.add_argument("file", type=Path)
        enrol = verbs.add_parser("enrol", help="ask the gatekeeper to enrol a key file")
        enrol.add_argument("file", type=Path)
        enrol.add_argument("--name", required=True, help="to tell it from others")
        listed = verbs.add_parser("list", help="the keys of a person")
        revoke = verbs.add_parser("revoke", help="end a key now")
        revoke.add_argument("id", help="as `key list` shows it")
        revoke.add_argument("--reason", default="", help="kept with the revocation")
        fresh = verbs.add_parser("fresh", help="the keys of others that an admin may vouch for")
        vouch = verbs.add_parser("vouch", help="propose that a fresh key counts at once")
        vouch.add_argument("id", help="as `key fresh` shows it")
        vouch.add_argument("--reason", required=True, help="the second admin reads it")
        for verb in (enrol, listed, revoke, fresh, vouch):
            verb.add_argument("--user", required=True, help="who asks; their password is asked")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "generate":
            self.stdout.write(keyfiles.public_line(keyfiles.generate(options["file"])))
        elif verb == "show":
            self.stdout.write(keyfiles.public_line(keyfiles.read(options["file"])))
        else:
            deeds = {"enrol": self._enrol, "list": self._list, "revoke": self._revoke}
            deeds |= {"fresh": self._fresh, "vouch": self._vouch}
            try:
                deeds[verb](options)
            except (access.Refused, ApprovalsError) as refusal:
                raise CommandError(plain(str(refusal))) from None

    def _enrol(self, options: dict[str, Any]) -> None:
        person = person_named(options["user"])
        key = keyfiles.read(options["file"])
        prove(person)
        public = key.public_key().public_bytes_raw()
        asked = keyring.enrol_key(
            person, name=options["name"], enrolment=Enrolment(kind="file", public_key=public)
        )
        self.stdout.write(f"{plain(asked.name)} is with the gatekeeper; see `key list`.")

    def _list(self, options: dict[str, Any]) -> None:
        person = person_named(options["user"])
        prove(person)
        held = keyring.held_by(person, timezone.now())
        rows = [
            (
                one.key.pk,
                one.key.name,
                one.key.kind,
                one.state,
                f"{one.key.enrolled_at:%Y-%m-%d %H:%M} UTC",
                f"{one.last_used_at:%Y-%m-%d %H:%M} UTC" if one.last_used_at else "never",
            )
            for one in held
        ]
        heads = ("ID", "NAME", "KIND", "STATE", "ENROLLED", "LAST USED")
        self.stdout.write(table(heads, rows) if rows else f"{person.username} has no keys.")
        for asked in keyring.requests_of(person):
            because = asked.refused_because or "with the gatekeeper, which verifies it"
            self.stdout.write(plain(f"{asked.name}: {because}"))

    def _revoke(self, options: dict[str, Any]) -> None:
        person = person_named(options["user"])
        prove(person)
        key = keyring.revoke_key(person, options["id"], reason=options["reason"])
        self.stdout.write(f"The key {plain(key.name)} is revoked: it signs nothing from now on.")

    def _fresh(self, options: dict[str, Any]) -> None:
        person = person_named(options["user"])
        prove(person)
        rows = [
            (
                one.key.pk,
                one.key.person.get_username(),
                one.key.name,
                one.state,
                f"{one.key.seasoned_at:%Y-%m-%d %H:%M} UTC",
            )
            for one in keyring.fresh_of_others(person, timezone.now())
        ]
        heads = ("ID", "OF", "NAME", "STATE", "COUNTS FROM")
        self.stdout.write(table(heads, rows) if rows else "No key of anybody else is fresh.")

    def _vouch(self, options: dict[str, Any]) -> None:
        person = person_named(options["user"])
        prove(person)
        change = changing.propose_vouching(person, options["id"], reason=options["reason"])
        self.stdout.write(f"{change.pk} is proposed; another admin must agree.")

"""What commands about runs share: naming one, and asking something of it in a person's name."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.utils.dateparse import parse_datetime

from console import access, deeds, strictjson
from console.management.people import acting_for, confirm, person_named, plain
from console.management.plain import PlainCommand
from console.pages.steer import ASKINGS
from console.pages.words import RUN_STATES
from runs import errors


@contextmanager
def refusals_in_words() -> Iterator[None]:
    """What the rooms refuse, as the one sentence that a command ends with."""
    try:
        yield
    except (access.Refused, errors.Refused, errors.NotCanonical) as refusal:
        raise CommandError(plain(str(refusal))) from None


def read_json(text: str, what: str) -> Any:
    """A JSON value from the command line. Raises `CommandError`."""
    try:
        return strictjson.parse(text.encode(errors="surrogateescape"))
    except strictjson.BadJson as error:
        place = f" at {error.pointer}" if error.pointer else ""
        raise CommandError(f"The {what} is refused{place}: {error.detail}") from None


def read_moment(text: str) -> datetime:
    """A moment from the command line, with its zone. Raises `CommandError`."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"{plain(text)!r} is not a moment; write it such as 2026-11-20T00:00Z.")
    return moment


class SteerCommand(PlainCommand):
    """`manage.py VERB RUN --user U --reason R`: asks it of a run once that was confirmed."""

    verb: ClassVar[deeds.Verb]

    def add_arguments(self, parser: ArgumentParser) -> None:
        needs = self.verb in deeds.NEED_A_REASON
        parser.add_argument("run", help="the run's id")
        parser.add_argument("--user", required=True, help="who asks")
        parser.add_argument("--reason", required=needs, default="", help="why; others read it")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, run: str, **options: Any) -> None:
        person = person_named(options["user"])
        with refusals_in_words():
            found = access.access_run_by_id(person, run, right="runs.cancel")
            state = RUN_STATES[found.status].word
            self.stdout.write(f"Run       {found.id}, {plain(found.workflow)}\nState     {state}")
            for what, becomes in ASKINGS[self.verb].facts:
                self.stdout.write(f"{what}: {becomes}")
            if not options["yes"]:
                confirm(f"{self.verb.capitalize()} it, for {person.username}?")
            _, was_asked = deeds.steer(
                person,
                found.id,
                self.verb,
                reason=options["reason"],
                actor=acting_for(person),
            )
        self.stdout.write(
            ASKINGS[self.verb].done if was_asked else "It was asked before; nothing changed."
        )

"""`manage.py start WORKFLOW --input JSON|@file`: start a run."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from console import access, deeds, strictjson
from console.management.people import acting_for, person_named, plain
from console.management.plain import PlainCommand
from console.models import User
from console.roles import OPERATOR
from runs import errors, limits


class Command(PlainCommand):
    help = "Start a run of a workflow and print its id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("workflow")
        parser.add_argument("--input", default="{}", help="a JSON object, or @ and a file of one")
        parser.add_argument("--user", help="who asks; needed when there are several operators")
        parser.add_argument("--idempotency-key", help="the same key starts one run only")

    def handle(self, *args: Any, workflow: str, **options: Any) -> None:
        key = options["idempotency_key"]
        if key is not None and not (0 < len(key) <= limits.MAX_IDEMPOTENCY_KEY and key.isascii()):
            raise CommandError(
                f"An idempotency key is 1 to {limits.MAX_IDEMPOTENCY_KEY} ASCII characters."
            )
        given = _read_input(options["input"])
        person = person_named(options["user"]) if options["user"] else _only_operator()
        try:
            run, was_created = deeds.start(
                person,
                workflow=workflow,
                input=given,
                idempotency_key=key,
                actor=acting_for(person),
            )
        except (access.Refused, errors.Refused, errors.NotCanonical) as refusal:
            raise CommandError(plain(str(refusal))) from None
        self.stdout.write(str(run.id))
        if not was_created:
            self.stderr.write("This key had started the run before.")


def _read_input(text: str) -> dict[str, Any]:
    try:
        value = strictjson.parse(_bytes(text))
    except strictjson.BadJson as error:
        place = f" at {error.pointer}" if error.pointer else ""
        raise CommandError(f"The input is refused{place}: {error.detail}") from None
    if not isinstance(value, dict):
        raise CommandError("The input must be a JSON object.")
    return value


def _bytes(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode(errors="surrogateescape")
    try:
        with Path(text[1:]).open("rb") as file:
            # One byte more than may be there tells that there is too much.
            return file.read(strictjson.MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"The file of the input cannot be read: {error.strerror}.") from None


def _only_operator() -> User:
    operators = list(User.objects.filter(groups__name=OPERATOR, is_active=True)[:2])
    if len(operators) != 1:
        raise CommandError("Say with --user who asks for the run.")
    return operators[0]

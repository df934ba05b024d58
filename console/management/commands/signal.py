"""`manage.py signal RUN NAME --user U --payload JSON`: a message for the mailbox of a run."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from console import deeds
from console.management.people import acting_for, person_named
from console.management.plain import PlainCommand
from console.management.runs import read_json, refusals_in_words


class Command(PlainCommand):
    help = "Put a message into the mailbox of a run; it is kept until the run takes it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="the run's id")
        parser.add_argument("name", help="the name of the signal")
        parser.add_argument("--payload", default="null", help="a JSON value")
        parser.add_argument("--user", required=True, help="who sends it")
        parser.add_argument("--idempotency-key", help="the same key sends it once only")

    def handle(self, *args: Any, run: str, name: str, **options: Any) -> None:
        person = person_named(options["user"])
        payload = read_json(options["payload"], "payload")
        with refusals_in_words():
            sent, is_new = deeds.send_signal(
                person,
                run,
                name=name,
                payload=payload,
                dedup_key=options["idempotency_key"],
                actor=acting_for(person),
            )
        self.stdout.write(str(sent.id))
        if not is_new:
            self.stderr.write("This key had sent it before.")

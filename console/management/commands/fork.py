"""`manage.py fork RUN --at N --user U`: a new run with what another one had done before a step."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from console import deeds
from console.management.people import acting_for, person_named
from console.management.plain import PlainCommand
from console.management.runs import read_json, refusals_in_words


class Command(PlainCommand):
    help = "Start a new run with the outcomes that another had before a step, and print its id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="the id of the run to begin from; it stays as it is")
        parser.add_argument(
            "--at", type=int, required=True, help="the first step done anew, from 0"
        )
        parser.add_argument("--user", required=True, help="who asks for the new run")
        parser.add_argument("--input", help="another input: a JSON object")

    def handle(self, *args: Any, run: str, at: int, **options: Any) -> None:
        person = person_named(options["user"])
        given = None if options["input"] is None else read_json(options["input"], "input")
        if given is not None and not isinstance(given, dict):
            raise CommandError("The input must be a JSON object.")
        with refusals_in_words():
            made = deeds.fork(person, run, at=at, input=given, actor=acting_for(person))
        self.stdout.write(str(made.id))

"""`manage.py answer RUN POSITION --user U --values JSON`: answers what a run asks."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from console import access, deeds
from console.management.people import confirm, person_named, plain, prove
from console.management.plain import PlainCommand
from console.management.runs import read_json, refusals_in_words
from runs import questions
from runs.models import Step


class Command(PlainCommand):
    help = "Answer what a run asks, as a person who proves to be that person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="the run's id")
        parser.add_argument("position", type=int, help="the question's position, from 0")
        parser.add_argument("--user", required=True, help="who answers")
        parser.add_argument("--values", required=True, help="JSON that fits the question's form")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, run: str, position: int, **options: Any) -> None:
        person = person_named(options["user"])
        values = read_json(options["values"], "answer")
        prove(person)
        with refusals_in_words():
            step = access.access_step(person, run, position, right="questions.answer")
            if step.kind != Step.Kind.ASK:
                raise CommandError("There is no question at this position.")
            question, form = questions.form_of(step)
            self.stdout.write(plain(question))
            self.stdout.write(plain(json.dumps(form, ensure_ascii=False)))
            if not options["yes"]:
                confirm(f"Answer this, as {person.username}?")
            deeds.answer_question(person, run, position, values=values)
        self.stdout.write("The answer was given to the run.")

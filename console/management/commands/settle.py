"""`manage.py settle RUN POSITION --user U --happened JSON|...`: what became of a step in doubt."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, cast

from django.core.management.base import CommandError

from console import access, deeds, strictjson
from console.management.people import confirm, person_named, plain, prove
from console.management.plain import PlainCommand
from console.pages import doubts, words
from runs.errors import Refused
from runs.models import Settlement, Step


class Command(PlainCommand):
    help = "Say what became of a step in doubt, as a person who proves to be that person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="the run's id")
        parser.add_argument("position", type=int, help="the step's position, from 0")
        parser.add_argument("--user", required=True, help="who says it")
        answer = parser.add_mutually_exclusive_group(required=True)
        answer.add_argument("--happened", metavar="JSON", help="it happened, with this result")
        answer.add_argument(
            "--did-not-happen",
            dest="answer",
            action="store_const",
            const="did_not_happen",
            help="it did not: run it again",
        )
        answer.add_argument(
            "--give-up", dest="answer", action="store_const", const="give_up", help="fail the step"
        )
        parser.add_argument("--reason", required=True, help="how you know it")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, run: str, position: int, **options: Any) -> None:
        answer = cast(deeds.Answer, options["answer"] or "happened")
        result = _read(options["happened"])
        person = person_named(options["user"])
        prove(person)
        try:
            step = access.access_step(person, run, position, right="steps.settle")
            self.stdout.write(_facts(step))
            if not options["yes"]:
                confirm(f"{words.ANSWERS[answer].word}, as {person.username}?")
            deeds.settle(
                person,
                step.run_id,
                position,
                answer=answer,
                reason=options["reason"],
                result=result,
                attempt=step.attempt,
            )
        except (access.Refused, Refused) as refusal:
            raise CommandError(plain(str(refusal))) from None
        said = words.ANSWERS[answer].word.lower()
        self.stdout.write(f"Recorded: {person.username} says: {said}.")


def _read(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return strictjson.parse(text.encode(errors="surrogateescape"))
    except strictjson.BadJson as error:
        raise CommandError(f"The result is refused: {error.detail}") from None


def _facts(step: Step) -> str:
    """What is not known, and who has said what so far."""
    doubt = next(iter(doubts.doubts_of([step])), None)
    error = step.error or {}
    lines = [
        ("Step", f"{step.position}, {step.name}, attempt {step.attempt}"),
        ("State", words.STEP_STATES[step.status].word),
        ("Unknown", f"{doubt.unknown} {doubt.voices}" if doubt else ""),
        ("Since", f"{doubt.since:%Y-%m-%d %H:%M:%S} UTC" if doubt and doubt.since else ""),
        ("Last error", f"{error.get('kind', '')}: {error.get('message', '')}" if error else ""),
        ("Key", step.key),
        ("Arguments", bytes(step.arguments).decode()),
        *(("Said", _said(said)) for said in doubts.said_about(step)),
    ]
    shown = [(name, value) for name, value in lines if value]
    width = max(len(name) for name, _ in shown)
    return "\n".join(f"{name:<{width}}  {plain(value)}" for name, value in shown)


def _said(said: Settlement) -> str:
    result = "" if said.result is None else f" {bytes(said.result).decode()}"
    answer = words.ANSWERS[said.answer].word.lower()
    return f"{said.person.get_username()}: {answer}{result} ({said.reason})"

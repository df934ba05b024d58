"""`manage.py settle RUN POSITION --user U --happened JSON|--retry|...`: what became of a step."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, cast

from django.core.management.base import CommandError

from console import access, deeds
from console.management.people import confirm, person_named, plain, prove
from console.management.plain import PlainCommand
from console.management.runs import read_json
from console.pages import doubts, words
from runs.errors import Refused
from runs.models import Settlement, Step


class Command(PlainCommand):
    help = "Say what became of a step in doubt, or how a paused one goes on, as a proven person."

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
        answer.add_argument("--skip", metavar="JSON", help="paused: go on with this result")
        answer.add_argument(
            "--retry-with", metavar="JSON", help="paused: a step with these arguments instead"
        )
        for name, does in (
            ("retry", "paused: try it again"),
            ("undo", "fail the step, and end the run after what it did is undone"),
            ("give-up", "fail the step"),
        ):
            const = name.replace("-", "_")
            answer.add_argument(
                f"--{name}", dest="answer", action="store_const", const=const, help=does
            )
        parser.add_argument("--reason", required=True, help="how you know it")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, run: str, position: int, **options: Any) -> None:
        answer, result = _said_by(options)
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


def _said_by(options: dict[str, Any]) -> tuple[deeds.Answer, Any]:
    """The answer, and the result or the other arguments that go with it."""
    with_value: tuple[deeds.Answer, ...] = ("happened", "skip", "retry_with")
    for name in with_value:
        if options[name] is not None:
            what = "result" if name != "retry_with" else "object of arguments"
            return name, read_json(options[name], what)
    return cast(deeds.Answer, options["answer"]), None


def _facts(step: Step) -> str:
    """What is known and what is not, and who has said what so far."""
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

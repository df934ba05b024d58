"""Questions: what a run asks people, as a typed form, and their answers. They move no money."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from runs import canonical, schemas, signals
from runs.errors import AlreadyEnded, InvalidInput
from runs.models import Signal, Step

UNREADABLE = "This question cannot be read: what the workflow asked is no question with a form."


def mailbox(position: int) -> str:
    """Where the answer to the question at this position is put."""
    return f"{signals.RESERVED}{position}"


def form_of(step: Step) -> tuple[str, dict[str, Any]]:
    """The question that a step asks, and the JSON Schema of its answer.

    They were written by the process that runs the code of agents. What is no question stands as
    `UNREADABLE`, with a form of no fields, beside those that are.
    """
    question, form, _fault = _read(bytes(step.arguments))
    return question, form


@lru_cache(1024)
def _read(arguments: bytes) -> tuple[str, dict[str, Any], str]:
    """The question, its form, and what is wrong with them, in a sentence; empty when nothing is."""
    fault = UNREADABLE
    try:
        asked = canonical.decode(arguments)
        question, form = str(asked["question"]), asked["form"]
        fault = _fault_of(form)
    except (KeyError, TypeError, ValueError):
        pass
    if fault:
        return UNREADABLE, {"type": "object", "properties": {}}, fault
    return question, form, ""


def _fault_of(form: Any) -> str:
    try:
        schemas.check_form(form)
    except ValueError as error:
        return str(error)
    return ""


def find_answer(step: Step) -> Signal | None:
    """The answer that was given, also while the run has not taken it yet."""
    return Signal.objects.filter(run_id=step.run_id, name=mailbox(step.position)).first()


def answer(*, step: Step, person: Any, values: Any) -> Signal:
    """Answers a question for the run that asked it.

    `values` must fit the form. Raises `InvalidInput` with a JSON pointer for each fault, or
    `AlreadyEnded` when it was answered before, or nobody waits for an answer any more.
    """
    if step.kind != Step.Kind.ASK or step.status != Step.Status.WAITING:
        raise AlreadyEnded("Nobody waits for an answer to this question any more.")
    before = find_answer(step)
    if before is not None:
        raise AlreadyEnded(f"{before.sender} has answered this question already.")
    _question, form, fault = _read(bytes(step.arguments))
    if fault:
        raise InvalidInput([("", fault)])
    faults = schemas.faults(form, values)
    if faults:
        raise InvalidInput(faults)
    given, is_new = signals.put(
        run_id=step.run_id,
        tenant=step.tenant,
        name=mailbox(step.position),
        payload=values,
        sender=person.get_username(),
        dedup_key=mailbox(step.position),
        event="question.answered",
        position=step.position,
    )
    if not is_new and given.sender != person.get_username():
        raise AlreadyEnded(f"{given.sender} has answered this question already.")
    return given

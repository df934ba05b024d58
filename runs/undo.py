"""Undo: what a run did is undone when it fails or is cancelled, in reverse order.

Each undo is an ordinary step of the executor at a position of its own, one after the other: with
its key, its attempts, and its gate where it moves money. Once a run ends like that, its workflow's
function is not run again. An undo that is refused or fails waits for a person; none is left out in
silence.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from runs import canonical, limits, positions, transitions
from runs.calls import AUTHOR_FAILURES, described
from runs.claims import Held
from runs.declare import TOOLS, Tool
from runs.errors import Mismatch
from runs.journal import Entry
from runs.models import Declaration, Event, Run, Settlement, Step
from runs.replacing import checked
from runs.transitions import Declared

BEGUN = (
    Step.Status.SUCCEEDED,
    Step.Status.RUNNING,
    Step.Status.READY,
    Step.Status.WAITING,
    Step.Status.IN_DOUBT,
)
GIVEN_UP = (Settlement.Answer.GIVE_UP, Settlement.Answer.UNDO)
NOES = ("Denied", "ChangesRequested", "Blocked")
"""The kinds of refusals that are an answer, and not only that nobody answered in time."""
ASKED = "UndoAsked"
"""The kind of the error of a step that people settled with `undo`."""

SHOWN = 100
"""How many undone steps the last event of a run names."""


class _Waits(Exception):
    """Nothing more can be done now: what is waited for, and a step that is to be declared."""

    def __init__(
        self, words: str, awaited: list[int] | None, declared: Declared | None = None
    ) -> None:
        self.words, self.awaited = words, awaited
        self.declared = [] if declared is None else [declared]


class _Stuck(Exception):
    """A person has to look, at what stands at this position."""

    def __init__(self, words: str, position: int) -> None:
        self.words, self.position = words, position


def asked_by_a_person(journal: dict[int, Entry]) -> dict[str, str] | None:
    """The error of a step about which people said that the run is to be undone, and to end."""
    return next((e.error for e in journal.values() if (e.error or {}).get("kind") == ASKED), None)


def end(claim: Held, run: Run, status: str, error: dict[str, str] | None) -> None:
    """Ends a run that did not succeed, after what it did is undone.

    Raises `Mismatch` when the code does not know a tool whose steps could be undone.
    """
    is_asked = run.cancel_requested_at is not None
    in_flight = transitions.cancel_unstarted(claim) if is_asked else []
    if any(_undo_tool(step) for step in _steps_of(run)):
        transitions.begin_undo(claim, status, error)
        run.refresh_from_db(fields=["ending"])
        go_on(claim, run)
    elif in_flight:
        then = "is cancelled" if status == "cancelled" else "fails"
        words = f"{_named(in_flight)} to end, then it {then}"
        transitions.park(claim, awaited=None, waiting_for=words[:255], is_cancelling=True)
    else:
        transitions.finish_run(claim, status, error=error)


def go_on(claim: Held, run: Run) -> None:
    """One slice of a run that is being undone: the next undo, or its end."""
    if _own(run).filter(status=Step.Status.PAUSED).exists():
        transitions.cancel_paused(claim)
    try:
        summary = _look(claim, run)
    except _Waits as waits:
        transitions.park(
            claim,
            declared=waits.declared,
            awaited=waits.awaited,
            waiting_for=waits.words[:255],
            is_cancelling=True,
        )
    except _Stuck as stuck:
        body = {"because": stuck.words, "position": stuck.position}
        transitions.pause_for_a_person(claim, stuck.words, body)
    else:
        assert run.ending is not None
        status, error = run.ending["status"], run.ending["error"]
        if summary["not_undone"]:
            error = _with_the_rest(error, summary["not_undone"])
        transitions.finish_run(claim, status, error=error, body={"undo": summary})


def _look(claim: Held, run: Run) -> dict[str, Any]:
    """What was undone and what was not, once all is over; raises `_Waits` or `_Stuck` before."""
    steps = _steps_of(run)
    in_flight = [step.name for step in steps if step.status != Step.Status.SUCCEEDED]
    if in_flight:
        raise _Waits(f"{_named(in_flight)} to end, then what it did is undone", None)
    made = _undos_of(run)
    undone: list[dict[str, Any]] = []
    not_undone: list[dict[str, Any]] = []
    for step in sorted(steps, key=lambda step: positions.original(step.position), reverse=True):
        tool = _undo_tool(step)
        if tool is None:
            continue
        why_not = _undo(run, step, tool, made.get(positions.undo(step.position)))
        said = {"position": step.position, "name": step.name, "by": tool.name}
        if why_not:
            not_undone.append(said | {"because": why_not})
        else:
            undone.append(said)
    return {"undone": undone[:SHOWN], "count": len(undone), "not_undone": not_undone[:SHOWN]}


def _undo(run: Run, step: Step, tool: Tool, made: Step | None) -> str:
    """Why a step stays as it is; empty when it is undone. Raises `_Waits` or `_Stuck` before."""
    if made is None:
        raise _begun(run, step, tool, positions.undo(step.position))
    if made.status == Step.Status.SUCCEEDED:
        return ""
    if made.status == Step.Status.CANCELLED:
        raise _begun(run, step, tool, positions.replacement(made.position), _said_instead(made))
    if made.status in (Step.Status.DENIED, Step.Status.FAILED):
        return _not_made(run, step, made, tool)
    raise _Waits(f"{tool.name} to undo {step.name}", [made.position])


def _begun(
    run: Run, step: Step, tool: Tool, position: int, said: bytes | None = None
) -> _Waits | _Stuck:
    """The undo of a step, to be declared at this position and waited for."""
    try:
        arguments = tool.arguments(_arguments(step)) if said is None else checked(tool, said)
    except AUTHOR_FAILURES as error:
        told = described(error)["message"]
        words = f"somebody to resume it once this is mended: {tool.name} is to undo {step.name}"
        return _Stuck(f"{words}, but its arguments cannot be made: {told}", step.position)
    declared = Declared(
        position=position,
        name=tool.name,
        effect=tool.effect,
        is_money=tool.money is not None,
        declaration=tool.declaration_digest,
        arguments=arguments,
        digest=canonical.step_digest(tool.name, arguments),
        key=canonical.step_key(run.tenant, run.id, position, tool.name),
    )
    return _Waits(f"{tool.name} to undo {step.name}", [position], declared)


def _arguments(step: Step) -> dict[str, Any]:
    """What the undo is called with, by the step's tool: of its arguments, its result, its key."""
    result = canonical.decode(step.result or b"null")
    return TOOLS[step.name].undo_arguments(canonical.decode(step.arguments), result, step.key)


def _said_instead(made: Step) -> bytes:
    """The arguments that people gave for another undo in the place of this one."""
    answers = made.settlements.filter(answer=Settlement.Answer.RETRY_WITH, attempt=made.attempt)
    return bytes(answers.latest("at").result or b"")


def _not_made(run: Run, step: Step, made: Step, tool: Tool) -> str:
    """An undo that was denied or has failed: a person's matter, unless they have said so."""
    told = (made.error or {}).get("message", f"{tool.name} was {made.status}.")
    if made.settlements.filter(attempt=made.attempt, answer__in=GIVEN_UP).exists():
        return str(told)
    if not _was_resumed_since(made):
        what = "was denied" if made.status == Step.Status.DENIED else "has failed"
        again = "goes on without it" if _is_final(made) else "tries that again"
        raise _Stuck(
            f"somebody to resume it (it then {again}) or to terminate it:"
            f" {tool.name}, which undoes {step.name}, {what}: {told}",
            made.position,
        )
    if _is_final(made):
        return str(told)
    raise _begun(run, step, tool, positions.replacement(made.position))


def _is_final(made: Step) -> bool:
    """Whether people said no; silence and failures are none, and can be tried again."""
    is_a_no = made.status == Step.Status.DENIED and (made.error or {}).get("kind") in NOES
    return is_a_no or positions.replacements(made.position) >= limits.MAX_REPLACEMENTS


def _was_resumed_since(made: Step) -> bool:
    ended = Event.objects.filter(run=made.run_id, position=made.position).latest("seq")
    return Event.objects.filter(run=made.run_id, kind="run.resumed", seq__gt=ended.seq).exists()


def _steps_of(run: Run) -> list[Step]:
    """What the run has done or begun itself, without what a fork was given."""
    begun = ~Q(status=Step.Status.READY) | Q(attempt__gt=0)
    found = _own(run).filter(begun, copied_from__isnull=True, status__in=BEGUN)
    return list(found.defer("arguments", "result").order_by("position"))


def _own(run: Run) -> QuerySet[Step]:
    """The calls of a run's workflow, and those that stand in the place of one."""
    return Step.objects.filter(run=run, kind=Step.Kind.TOOL, position__lt=positions.UNDO)


def _undos_of(run: Run) -> dict[int, Step]:
    """By the position of each undo, the step that stands last there, after all replacements."""
    found = Step.objects.filter(run=run, position__gte=positions.UNDO)
    newest: dict[int, Step] = {}
    first: dict[int, int] = {}
    for step in found.defer("arguments", "result").order_by("position"):
        before = step.position - positions.REPLACEMENT
        first[step.position] = first.get(before, step.position)
        newest[first[step.position]] = step
    return newest


def _undo_tool(step: Step) -> Tool | None:
    """The tool that undoes a step; None when there is nothing to undo."""
    tool = TOOLS.get(step.name)
    if tool is not None:
        try:
            return tool.undo_tool
        except ValueError as error:
            raise Mismatch(step.position, f"a step of {step.name}", str(error)) from error
    declaration = Declaration.objects.filter(digest=step.declaration_id).first()
    if declaration is None or not declaration.body.get("undo"):
        return None
    raise Mismatch(step.position, f"a step of {step.name}", "no tool of that name to undo it")


def _with_the_rest(
    error: dict[str, str] | None, not_undone: list[dict[str, Any]]
) -> dict[str, str]:
    left = "; ".join(f"{one['name']} ({one['because']})" for one in not_undone)
    told = error or {"kind": "NotUndone", "message": "The run was cancelled."}
    message = f"{told['message']} Not undone: {left}"
    return {"kind": told["kind"], "message": message[: limits.MAX_ERROR_CHARACTERS]}


def _named(names: list[str]) -> str:
    return ", ".join(sorted(set(names)))

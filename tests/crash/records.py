"""What must be the same after a crash: the journals of all runs of a plan, and the world's books.

How often an attempt was made, and when, is left out; and so is a doubt that people settled by
what stands in the world's books, for that is how a `once` effect is taken over.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from runs import canonical
from runs.models import Claim, Effect, Event, Run, Signal, Step
from tests.crash import people
from tests.zoo import ledger

OF_ATTEMPTS = {
    "step.started",
    "step.taken_over",
    "step.attempt_failed",
    "run.waiting",
    "run.cancelling",
    "step.in_doubt",
    "step.waiting",
    "completion.made",
    "settlement.made",
}
CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[0-9:.+Z-]+|0\.\d{5,}|\b[0-9a-f]{64}\b"
)
REPEATED = ("-called", "add", "charge")
"""Kinds of the world's entries that only say that a tool was called."""


def journals(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that is kept of the runs of a plan, without what changes each time."""
    found = [_journal(run) for run in people.runs_of(plan)]
    return sorted(found, key=lambda made: repr((made["parent_position"], made["workflow"], made)))


def _journal(run: Run) -> dict[str, Any]:
    events = list(Event.objects.filter(run=run).order_by("seq"))
    assert [event.seq for event in events] == list(range(1, len(events) + 1)), "no gap in seq"
    assert Claim.objects.get(run=run).last_seq == len(events), "last_seq is that of the journal"
    return {
        "workflow": run.workflow,
        "parent_position": run.parent_position,
        "status": run.status,
        "result": _masked(run.result),
        "error": None if run.error is None else run.error["kind"],
        "steps": [_step(step) for step in Step.objects.filter(run=run).order_by("position")],
        "events": _by_position(events),
        "mail": sorted((signal.name, signal.taken_at) for signal in Signal.objects.filter(run=run)),
        "effects": sorted(
            Effect.objects.filter(step__run=run).values_list("tool", "status", "step__position")
        ),
    }


def _step(step: Step) -> tuple[Any, ...]:
    return (step.position, step.kind, step.name, step.status, _masked(step.result), step.effect)


def _by_position(events: list[Event]) -> dict[Any, list[str]]:
    kinds: dict[Any, list[str]] = {}
    for event in events:
        kind = event.kind
        if kind == "step.settled":
            status = canonical.decode(bytes(event.body))["status"]
            kind = "step.taken_over" if status == "ready" else f"step.{status}"
        if kind not in OF_ATTEMPTS:
            kinds.setdefault(event.position, []).append(kind)
    return kinds


def _masked(value: Any) -> str | None:
    if value is None:
        return None
    # What a probe tells is marked by the world; that it was asked is left out.
    return CHANGING.sub("*", bytes(value).decode()).replace('"known":true,', "")


def books() -> Counter[str]:
    """What happened in the outside world, by kind."""
    return Counter(entry["kind"] for entry in ledger())


def check_books(told: Counter[str], undisturbed: Counter[str], where: str) -> None:
    """No effect is missing, and none there twice; a tool may have been called once more."""
    for kind in told | undisturbed:
        more = told[kind] - undisturbed[kind]
        may_be = (0, 1) if kind.endswith(REPEATED) or kind.startswith("charge") else (0,)
        assert more in may_be, f"{where}: {kind} {told[kind]} times, else {undisturbed[kind]}"


def check_keys() -> None:
    """No key stands twice in the books, whatever happened."""
    for kind in set(people.EFFECT_OF.values()):
        keys = Counter(entry["key"] for entry in ledger(kind))
        twice = [key for key, count in keys.items() if count > 1]
        assert not twice, f"{kind}, twice under {twice}"

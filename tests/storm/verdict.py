"""What must be true after a storm, and the table of what it was like."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

from runs import canonical
from runs.models import Claim, Event, Run, Schedule, Step, Tick
from tests.crash.people import EFFECT_OF
from tests.zoo import ledger


def faults(
    wanted: Mapping[UUID, tuple[str, str]], disturbed: list[tuple[float, float]]
) -> list[str]:
    """Everything that is not as it was promised, as sentences with what to look at."""
    return [
        *_lost_or_stuck(wanted),
        *_twice_or_never(),
        *_wrong_doubts(disturbed),
        *_broken_journals(),
        *_wrong_ticks(),
    ]


def unended() -> list[Run]:
    return list(Run.objects.filter(finished_at=None).order_by("id"))


def is_calm() -> bool:
    """Nothing goes on any more."""
    open_steps = Step.objects.filter(is_remote=True, finished_at=None)
    return not Run.objects.filter(finished_at=None).exists() and not open_steps.exists()


def _lost_or_stuck(wanted: Mapping[UUID, tuple[str, str]]) -> list[str]:
    found = []
    runs = {run.id: run for run in Run.objects.all()}
    for id, (workflow, end) in wanted.items():
        run = runs.get(id)
        if run is None:
            found.append(f"The run {id} of {workflow} is lost.")
        elif run.finished_at and run.status != end:
            found.append(f"The run {id} of {workflow} is {run.status}, not {end}: {run.error}")
    for run in unended():
        why = run.waiting_for or "for no reason that it says"
        found.append(f"The run {run.id} of {run.workflow} is still {run.status}: {why}.")
    return found


def _twice_or_never() -> list[str]:
    """Each effect that is recorded stands in the books once; no other stands there."""
    books = {kind: Counter(e["key"] for e in ledger(kind)) for kind in set(EFFECT_OF.values())}
    found = [
        f"{kind}: {count} times under the key {key}"
        for kind, keys in books.items()
        for key, count in keys.items()
        if count > 1
    ]
    recorded: dict[str, set[str]] = defaultdict(set)
    for step in Step.objects.filter(is_remote=True, status="succeeded"):
        kind = EFFECT_OF.get(step.name)
        if kind is not None:
            recorded[kind].add(step.key)
            if step.key not in books[kind]:
                found.append(f"The step {step.id} of {step.name} succeeded, but did nothing.")
    for kind, keys in books.items():
        found += [
            f"{kind}: the key {key} stands in the books, but no step that succeeded has it"
            for key in keys
            if key not in recorded[kind]
        ]
    return found


def _wrong_doubts(disturbed: list[tuple[float, float]]) -> list[str]:
    """By the world's books, and by what was done to the processes meanwhile."""
    found = []
    called = Counter(entry["key"] for entry in ledger("fire-called"))
    back = Counter(entry["key"] for entry in ledger("fire-returned"))
    dropped = {entry["key"] for entry in ledger("fire-dropped")}
    for step in Step.objects.filter(name="fire"):
        events = list(Event.objects.filter(run=step.run_id, position=step.position).order_by("seq"))
        doubts = [event for event in events if event.kind == "step.in_doubt"]
        cut_off = called[step.key] - back[step.key]
        if cut_off > len(doubts):
            found.append(
                f"The step {step.id} was cut off {cut_off} times, in doubt {len(doubts)} times."
            )
        for doubt in doubts:
            began = max(e.at for e in events if e.kind == "step.started" and e.seq < doubt.seq)
            span = began.timestamp(), doubt.at.timestamp()
            is_disturbed = any(a <= span[1] and span[0] <= b for a, b in disturbed)
            if step.key not in dropped and not is_disturbed:
                said = canonical.decode(bytes(doubt.body))
                found.append(f"The step {step.id} is in doubt, and nothing was cut off: {said}")
    return found


def _broken_journals() -> list[str]:
    found = []
    events: dict[UUID, list[tuple[int, str, int | None]]] = defaultdict(list)
    rows = Event.objects.order_by("run", "seq").values_list("run", "seq", "kind", "position")
    for run_id, seq, kind, position in rows:
        events[run_id].append((seq, kind, position))
    last = dict(Claim.objects.values_list("run_id", "last_seq"))
    for run_id, made in events.items():
        if [seq for seq, _, _ in made] != list(range(1, last[run_id] + 1)):
            found.append(f"The journal of {run_id} has gaps.")
        ends = [kind for _, kind, _ in made if kind in ENDS]
        if len(ends) > 1:
            found.append(f"The run {run_id} ended more than once: {ends}")
        done = Counter(position for _, kind, position in made if kind == "step.succeeded")
        twice = [position for position, count in done.items() if count > 1]
        if twice:
            found.append(f"The run {run_id} has steps that succeeded twice: {twice}")
    return found


def _wrong_ticks() -> list[str]:
    """Each time of the schedule has one run, and none is left out."""
    found = []
    for schedule in Schedule.objects.all():
        ticks = list(Tick.objects.filter(schedule=schedule).order_by("at"))
        started = [tick.run_id for tick in ticks if tick.outcome == "started"]
        runs = set(Run.objects.filter(schedule=schedule).values_list("id", flat=True))
        if len(started) != len(set(started)) or set(started) != runs:
            found.append(f"{len(started)} ticks were started, and there are {len(runs)} runs.")
        found += [
            f"The tick of {tick.at} was {tick.outcome}: {tick.because}"
            for tick in ticks
            if tick.outcome in ("missed", "skipped", "refused")
        ]
        spans = {(b.at - a.at).total_seconds() for a, b in pairwise(ticks)}
        if spans - {float(schedule.interval_seconds or 0)}:
            found.append(f"Between ticks there were {sorted(spans)} seconds.")
    return found


ENDS = ("run.succeeded", "run.failed", "run.cancelled")


def table(said: str) -> dict[str, Any]:
    """What happened, in figures."""
    kinds = Counter(Event.objects.values_list("kind", flat=True))
    steps = Step.objects.filter(is_remote=True)
    doubts = Counter(Event.objects.filter(kind="step.in_doubt").values_list("position", flat=True))
    return {
        "runs": dict(Counter(Run.objects.values_list("status", flat=True))),
        "ticks of a schedule": Tick.objects.count(),
        "steps of executors": steps.count(),
        "effects in the books": sum(len(ledger(kind)) for kind in set(EFFECT_OF.values())),
        "steps taken over": kinds["step.taken_over"],
        "doubts": sum(doubts.values()),
        "doubts settled": kinds["step.settled"],
        "poisoned": kinds["step.poisoned"],
        "slices claimed anew": sum(Claim.objects.values_list("fence", flat=True)),
        "fenced writes": said.count("fenced:"),
        "claims of the dead ended at once": said.count("its claim is ended"),
        "events": sum(kinds.values()),
    }

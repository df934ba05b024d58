"""What people do in a plan: they start its runs, and answer whatever asks for them.

Everything is found out anew from the database, so that somebody whose browser was lost in the
middle does the same again, and nothing twice.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q

from approvals.decisions import decide
from approvals.models import Gate
from console.models import User
from runs import canonical, completions, forks, questions, schedules, steering
from runs.lifecycle import start_run
from runs.models import Event, Run, Schedule, Signal, Step
from runs.settlements import settle
from runs.signals import send_signal
from tests import zoo
from tests.harness import patiently

EFFECT_OF = {
    "launch": "launched",
    "register": "registered",
    "pay": "paid",
    "book": "booked",
    "book_once": "booked",
    "unbook": "unbooked",
    "fire": "fired",
    "post": "posted",
    "hand_over": "handed-over",
}
"""What stands in the books of the outside world once a tool has done its work."""

DONE_OUTSIDE = {"done": True}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)


def act(plan: dict[str, Any]) -> None:
    """Everything that people would do now in this plan."""
    alice, bob = _person(plan, "alice"), _person(plan, "bob")
    runs = _started(plan, alice)
    for deed in plan["deeds"]:
        DEEDS[deed](plan, runs, alice)
    for run in _living(plan):
        _answer(plan, run, bob)


def runs_of(plan: dict[str, Any]) -> list[Run]:
    """The runs of a plan with all that came of them, the oldest first."""
    own = set(
        Run.objects.filter(
            tenant=plan["tenant"], idempotency_key__startswith=f"{plan['key']}-"
        ).values_list("id", flat=True)
    )
    own |= set(
        Run.objects.filter(schedule__name=plan["key"], tenant=plan["tenant"]).values_list(
            "id", flat=True
        )
    )
    while True:
        more = set(
            Run.objects.filter(tenant=plan["tenant"])
            .filter(_came_of(own))
            .values_list("id", flat=True)
        )
        if more <= own:
            return list(Run.objects.filter(id__in=own).order_by("id"))
        own |= more


def is_over(plan: dict[str, Any]) -> bool:
    """Whether all runs of a plan have ended, and all deeds are done."""
    runs = runs_of(plan)
    is_done = all(DONE.get(deed, _always)(plan, runs) for deed in plan["deeds"])
    steps = Step.objects.filter(run__in=runs, is_remote=True, finished_at=None)
    return bool(runs) and is_done and all(r.finished_at for r in runs) and not steps.exists()


def _came_of(own: set[Any]) -> Any:
    return Q(parent__in=own) | Q(forked_from__in=own) | Q(continued_from__in=own)


def _person(plan: dict[str, Any], name: str) -> User:
    return User.objects.get(tenant=plan["tenant"], username=name)


def _living(plan: dict[str, Any]) -> list[Run]:
    return [run for run in runs_of(plan) if run.finished_at is None]


def _started(plan: dict[str, Any], alice: User) -> list[Run]:
    key, tenant = plan["key"], plan["tenant"]
    runs = list(Run.objects.filter(tenant=tenant, idempotency_key__startswith=f"{key}-"))
    runs.sort(key=lambda run: str(run.idempotency_key))
    for index, begin in enumerate(plan["starts"]):
        if index < len(runs):
            continue
        given = {
            name: str(runs[0].id) if value == "$0" else value
            for name, value in begin["input"].items()
        }
        run, _ = start_run(
            tenant=tenant,
            workflow=begin["workflow"],
            input=given,
            requested_by=alice,
            idempotency_key=f"{key}-{index}",
        )
        runs.append(run)
    return runs


def _answer(plan: dict[str, Any], run: Run, bob: User) -> None:
    """Bob does whatever this run waits for."""
    for gate in Gate.objects.filter(run=run, status="open", decisions=None):
        digest = bytes(gate.digest).hex()
        approve = functools.partial(
            decide,
            gate_id=gate.id,
            tenant=run.tenant,
            person=bob,
            verdict="approve",
            reason="",
            digest=digest,
        )
        patiently(bob, approve)
    for step in Step.objects.filter(run=run, status__in=("waiting", "in_doubt", "paused")):
        if step.settlements.filter(attempt=step.attempt).exists():
            continue
        if step.status == "paused":
            settle(step=step, person=bob, answer="retry", reason="It works again.")
        elif step.status == "in_doubt":
            _settle(step, bob)
        elif step.kind == "ask" and questions.find_answer(step) is None:
            questions.answer(step=step, person=bob, values={"count": 3, "word": "yes"})
        elif step.kind == "signal" and _may_come(plan, run, step):
            _send(run, step)
        elif step.is_remote:
            _complete(step)
    if run.status == Run.Status.PAUSED and "pause" not in plan["deeds"]:
        steering.resume(run=run, actor="bob")


def _settle(step: Step, bob: User) -> None:
    """Bob looks into the world's own books, and says what is there."""
    happened = any(entry.get("key") == step.key for entry in zoo.ledger(EFFECT_OF[step.name]))
    if happened:
        is_outside = step.name == "hand_over"
        result = DONE_OUTSIDE if is_outside else canonical.decode(step.arguments)
        settle(
            step=step, person=bob, answer="happened", reason="It is in the books.", result=result
        )
    else:
        settle(step=step, person=bob, answer="did_not_happen", reason="It is in no book.")


def _may_come(plan: dict[str, Any], run: Run, step: Step) -> bool:
    is_waited_for = "pause" not in plan["deeds"] or _has(run, "run.resumed")
    return step.name not in plan["silent"] and is_waited_for


def _send(run: Run, step: Step) -> None:
    if not Signal.objects.filter(run=run, name=step.name, taken_at=None).exists():
        send_signal(
            run_id=run.id,
            tenant=run.tenant,
            name=step.name,
            payload={"for": step.name},
            sender="alice",
            dedup_key=f"at {step.position}",
        )


def _complete(step: Step) -> None:
    """Whoever was given the token of a step says that it is done."""
    token = (zoo.world_dir() / "token").read_text()
    is_its = token.startswith(f"{step.id}.{step.attempt}.")
    if is_its and not step.completions.filter(attempt=step.attempt).exists():
        completions.complete(token, result=DONE_OUTSIDE)


# Deeds of their own: what people do besides answering.


def _pause(plan: dict[str, Any], runs: list[Run], alice: User) -> None:
    """Pauses the first run while it waits, and lets it go on."""
    run = Run.objects.get(pk=runs[0].pk)
    if run.status == Run.Status.PAUSED:
        steering.resume(run=run, actor="alice", reason="it may")
    elif not _has(run, "run.paused") and run.status == Run.Status.WAITING:
        steering.pause(run=run, actor="alice", reason="let me look")


def _cancel(plan: dict[str, Any], runs: list[Run], alice: User) -> None:
    """Cancels the first run once it waits for a signal that nobody sends."""
    run = Run.objects.get(pk=runs[0].pk)
    if run.status == Run.Status.WAITING and _listens(run) and run.cancel_requested_at is None:
        steering.request_cancel(run=run, actor="alice", reason="nobody comes")


def _terminate(plan: dict[str, Any], runs: list[Run], alice: User) -> None:
    run = Run.objects.get(pk=runs[0].pk)
    if run.status == Run.Status.WAITING and _listens(run) and run.terminate_requested_at is None:
        steering.terminate(run=run, actor="alice", reason="enough")


def _fork(plan: dict[str, Any], runs: list[Run], alice: User) -> None:
    """Forks the first run from its second step, once it has ended."""
    run = Run.objects.get(pk=runs[0].pk)
    if run.finished_at and not Run.objects.filter(forked_from=run).exists():
        forks.fork(run=run, at=1, requested_by=alice)


def _schedule(plan: dict[str, Any], runs: list[Run], alice: User) -> None:
    """A schedule whose two ticks lie in the past, and are run afterwards."""
    made = Schedule.objects.filter(tenant=plan["tenant"], name=plan["key"]).first()
    if made is None:
        made = schedules.create_schedule(
            tenant=plan["tenant"],
            name=plan["key"],
            workflow="adding",
            input={"numbers": [1]},
            owner=alice,
            cron="0 0 1 1 *",
            overlap="queue",
        )
    if not made.ticks.exists():
        schedules.backfill(schedule=made, person=alice, since=LONG_AGO[0], until=LONG_AGO[1])


def _has(run: Run, kind: str) -> bool:
    return Event.objects.filter(run=run, kind=kind).exists()


def _listens(run: Run) -> bool:
    return Step.objects.filter(run=run, kind="signal", status="waiting").exists()


def _always(plan: dict[str, Any], runs: list[Run]) -> bool:
    return True


DEEDS = {
    "pause": _pause,
    "cancel": _cancel,
    "terminate": _terminate,
    "fork": _fork,
    "schedule": _schedule,
}
DONE = {
    "fork": lambda plan, runs: any(run.forked_from_id for run in runs),
    "schedule": lambda plan, runs: len(runs) == 2,
}

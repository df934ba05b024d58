"""People in a storm: they start runs and answer whatever asks, again and again until it holds."""

from __future__ import annotations

import functools
import logging
import random
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from approvals.decisions import decide
from approvals.models import Gate
from runs import questions, schedules, signals, steering
from runs.clock import database_now
from runs.lifecycle import start_run
from runs.models import Event, Run, Schedule, Signal, Step
from runs.settlements import settle
from tests import zoo
from tests.crash.people import EFFECT_OF
from tests.harness import World, as_role, patiently

logger = logging.getLogger(__name__)

CHILDREN = [
    {"workflow": "adding", "input": {"numbers": [1]}},
    {"workflow": "registering", "input": {"names": ["x"]}},
]
ZOO: list[tuple[str, dict[str, Any], str]] = [
    ("adding", {"numbers": [1, 2, 3, 4]}, "succeeded"),
    ("everything", {"amount_minor": 100}, "succeeded"),
    ("everything", {"amount_minor": 200}, "succeeded"),
    ("registering", {"names": ["a", "b", "c", "d"]}, "succeeded"),
    ("many_registering", {"names": ["a", "b", "c", "d"], "at_once": 2}, "succeeded"),
    ("paying", {"amounts": [100, 200]}, "succeeded"),
    ("firing", {"name": "x"}, "succeeded"),
    ("firing", {"name": "y"}, "succeeded"),
    ("launching", {"name": "x"}, "succeeded"),
    ("sleeping", {"seconds": 2}, "succeeded"),
    ("slowing", {"seconds": 1}, "succeeded"),
    ("listening", {"signals": ["a", "b"]}, "succeeded"),
    ("hurrying", {"seconds": 600}, "succeeded"),
    ("collecting", {}, "succeeded"),
    ("asking", {}, "succeeded"),
    ("parenting", {"children": CHILDREN}, "succeeded"),
    ("nesting", {"depth": 2}, "succeeded"),
    ("travelling", {"places": ["x", "y"], "ends_well": False}, "failed"),
    ("counting", {"number": 1, "most": 2}, "succeeded"),
    ("refusing", {}, "failed"),
    ("charging", {"amount_minor": 300}, "failed"),
]


class Driver(threading.Thread):
    """A thread of its own, with the rights of web."""

    def __init__(
        self, world: World, draw: random.Random, *, runs: int, seconds: float, patience: float
    ) -> None:
        super().__init__(name="people", daemon=True)
        self._world, self._draw = world, draw
        self._runs, self._seconds, self._patience = runs, seconds, patience
        self._done = threading.Event()
        self._is_over = threading.Event()
        self.wanted: dict[UUID, tuple[str, str]] = {}
        """What was promised to whoever started it: the workflow, and how it ends."""
        self._schedule_has_ended = False
        self.broken: Counter[str] = Counter()
        """Requests that were lost and made again, by the kind of error."""

    def run(self) -> None:
        with as_role("placet_web"):
            began = time.monotonic()
            while not self._done.is_set():
                share = min(1.0, (time.monotonic() - began) / self._seconds)
                self._try(lambda due=share: self._start_until(int(due * self._runs)))
                self._try(self._keep_schedule)
                self._try(self._answer_everything)
                self._done.wait(0.2)
            connection.close()

    def finish(self) -> None:
        self._done.set()
        self.join(30)

    def end_schedule(self) -> None:
        """The storm is over: no further tick."""
        self._is_over.set()

    @property
    def has_started_all(self) -> bool:
        return len(self.wanted) >= self._runs and self._schedule_has_ended

    def _keep_schedule(self) -> None:
        """A run for each two seconds, until the storm is over."""
        made = Schedule.objects.filter(tenant=self._world.tenant).first()
        if made is None:
            schedules.create_schedule(
                tenant=self._world.tenant,
                name="every two seconds",
                workflow="adding",
                input={"numbers": [1]},
                owner=self._world.alice,
                interval_seconds=2,
                overlap="allow",
            )
        elif self._is_over.is_set() and not self._schedule_has_ended:
            schedules.delete_schedule(schedule=made)
            self._schedule_has_ended = True

    def _try(self, deed: Any) -> None:
        try:
            deed()
        except Exception as error:
            self.broken[type(error).__name__] += 1
            logger.debug("people: %s", error)
            connection.close()
            self._done.wait(0.2)

    def _start_until(self, count: int) -> None:
        while len(self.wanted) < min(count + 1, self._runs) and not self._done.is_set():
            number = len(self.wanted)
            workflow, given, end = ZOO[number % len(ZOO)]
            run, _ = start_run(
                tenant=self._world.tenant,
                workflow=workflow,
                input=given,
                requested_by=self._world.alice,
                idempotency_key=f"storm-{number}",
            )
            self.wanted[run.id] = (workflow, end)

    def _answer_everything(self) -> None:
        for gate in Gate.objects.filter(status="open", decisions=None)[:20]:
            self._try(lambda gate=gate: self._approve(gate))
        waiting = Step.objects.filter(status__in=("waiting", "in_doubt", "paused"))
        for step in waiting.select_related("run").order_by("?")[:40]:
            self._try(lambda step=step: self._answer(step))
        for run in Run.objects.filter(status__in=("paused", "quarantined"))[:5]:
            self._try(lambda run=run: steering.resume(run=run, actor="bob"))

    def _approve(self, gate: Gate) -> None:
        approve = functools.partial(
            decide,
            gate_id=gate.id,
            tenant=gate.tenant,
            person=self._world.bob,
            verdict="approve",
            reason="",
            digest=bytes(gate.digest).hex(),
        )
        patiently(self._world.bob, approve)

    def _answer(self, step: Step) -> None:
        if step.status in ("in_doubt", "paused"):
            self._settle(step)
        elif step.kind == "ask" and questions.find_answer(step) is None:
            values = {"count": 1, "word": "yes"}
            questions.answer(step=step, person=self._world.bob, values=values)
        elif step.kind == "signal":
            key = f"at {step.position}"
            if not Signal.objects.filter(run=step.run_id, dedup_key=key).exists():
                signals.send_signal(
                    run_id=step.run_id,
                    tenant=step.tenant,
                    name=step.name,
                    payload=step.position,
                    sender="alice",
                    dedup_key=key,
                )

    def _settle(self, step: Step) -> None:
        """By the world's own books, and not before everything frozen has thawed."""
        last = Event.objects.filter(run=step.run_id, position=step.position).latest("seq")
        if database_now() - last.at < timedelta(seconds=self._patience):
            return
        people = [self._world.bob, self._world.carol] if step.is_money else [self._world.bob]
        answer, reason, result = "retry", "It works again.", None
        if step.status == "in_doubt":
            book = EFFECT_OF[step.name]
            is_there = any(entry["key"] == step.key for entry in zoo.ledger(book))
            answer = "happened" if is_there else "did_not_happen"
            reason, result = "By the books.", {"settled": True, "paid": 0}
        for person in people:
            if not step.settlements.filter(attempt=step.attempt, person=person).exists():
                settle(step=step, person=person, answer=answer, reason=reason, result=result)

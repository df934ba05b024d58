"""The time of an attempt ends it: by asking, and where that does not help, with its process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, connections

from runs import deadlines, effects, limits
from runs.models import Effect, Event, Run, Step
from tests import zoo
from tests.harness import World, as_role
from tests.runs.test_retries import call, come_to_rest
from tests.zoo import ledger


class Ended:
    """Stands for the end of the process: the tool may leave then, as if it had never been."""

    def __init__(self) -> None:
        self.times = 0
        self.found: list[str] = []
        self.watched: Run | None = None

    def __call__(self) -> None:
        self.times += 1
        if self.watched is not None:
            self.found = [step.status for step in Step.objects.filter(run=self.watched)]
            self.found += [e.status for e in Effect.objects.filter(step__run=self.watched)]
            connection.close()
        (zoo.world_dir() / "stop-ignoring").touch()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ended]:
    monkeypatch.setattr(limits, "TIMEOUT_GRACE_SECONDS", 0.4)
    end = Ended()
    deadlines.plug_end(end)
    yield end
    deadlines.plug_end(None)


def test_a_tool_that_sleeps_too_long_is_woken(world: World, ended: Ended) -> None:
    began = time.monotonic()
    step = come_to_rest(world, call(world, "oversleep", seconds=20))
    assert time.monotonic() - began < 5
    assert (step.status, step.unknowns, ended.times) == ("in_doubt", 1, 0)
    assert step.error == {
        "kind": "AttemptTimedOut",
        "message": "oversleep took longer than 0.3 seconds.",
    }


def attempt_once(world: World, run: Run) -> None:
    """One attempt of the run's first step, however soon the next is due."""
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        assert effects.execute(step.id)


def test_an_async_tool_is_cancelled(world: World, ended: Ended) -> None:
    step = come_to_rest(world, call(world, "drift", seconds=20))
    assert (step.status, ended.times) == ("in_doubt", 0)
    assert step.error is not None
    assert step.error["message"] == "drift took longer than 0.3 seconds."
    assert len(ledger("cancelled")) == 1


def test_a_tool_in_another_thread_is_interrupted_as_well(world: World, ended: Ended) -> None:
    run = call(world, "oversleep", seconds=0.5)

    def play() -> None:
        come_to_rest(world, run)
        connections.close_all()

    threaded = threading.Thread(target=play)
    threaded.start()
    threaded.join(20)
    assert [step.status for step in world.steps(run)] == ["in_doubt"]
    assert ended.times == 0


def test_a_tool_that_is_in_time_is_left_alone(world: World, ended: Ended) -> None:
    run = call(world, "oversleep", seconds=0.05)
    come_to_rest(world, run)
    time.sleep(0.5)
    assert (world.result(run), ended.times) == ("awake", 0)


def test_a_tool_that_ignores_its_time_loses_its_process_after_the_outcome_is_recorded(
    world: World, ended: Ended
) -> None:
    run = ended.watched = call(world, "ignore", seconds=20)
    attempt_once(world, run)
    assert ended.times == 1
    assert ended.found == ["ready", "intended"], "it is written before the process ends"
    assert ledger("shrugged")
    step = come_to_rest(world, run)
    assert (step.status, world.result(run)) == ("succeeded", "awake")
    assert (step.attempt, step.failures, step.unknowns) == (2, 1, 1)
    kinds = Event.objects.filter(run=run, position=0).order_by("seq").values_list("kind", flat=True)
    assert list(kinds)[1:3] == ["step.started", "step.attempt_failed"]


def test_without_the_watchdog_it_would_go_on(
    world: World, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines.Deadline, "act", lambda self: None)
    run = call(world, "ignore", seconds=1.5)
    step = come_to_rest(world, run)
    assert (step.status, step.attempt, ended.times) == ("succeeded", 1, 0)


def test_a_safe_tool_of_the_worker_is_ended_as_well(world: World, ended: Ended) -> None:
    step = come_to_rest(world, call(world, "ponder", seconds=20))
    assert (step.status, step.attempt, ended.times) == ("paused", 2, 0)
    assert step.error is not None
    assert step.error["message"] == "ponder took longer than 0.3 seconds."


def test_a_stubborn_safe_tool_loses_the_worker_after_the_outcome_is_recorded(
    world: World, ended: Ended
) -> None:
    run = ended.watched = call(world, "ponder", seconds=20, stubborn=True)
    world.work()
    assert (ended.times, ended.found) == (1, ["ready"])
    (step,) = world.steps(run)
    assert (step.status, step.attempt, step.failures) == ("ready", 1, 1)


def test_a_tool_that_falls_silent_is_ended(world: World, ended: Ended) -> None:
    step = come_to_rest(world, call(world, "beat", beats=6, then=20))
    assert len(ledger("beat")) == 6
    assert step.error is not None
    assert step.error["message"] == "beat gave no heartbeat for 0.3 seconds."


def test_a_tool_that_beats_may_take_longer(world: World, ended: Ended) -> None:
    run = call(world, "beat", beats=8, then=0)
    come_to_rest(world, run)
    assert (world.result(run), ended.times) == (8, 0)


HOLDS_THE_LOCK = """
import re, os
os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
import django
django.setup()
from runs import deadlines, limits
from runs.claims import Held
from runs.declare import tool
from runs.models import new_id
limits.TIMEOUT_GRACE_SECONDS = deadlines.HARD_SECONDS = 0.2

@tool(effect="keyed", timeout=0.2)
def endless(call):
    re.match(r"(a+)+$", "a" * 64 + "b")

print("it begins", flush=True)
deadline = deadlines.Deadline(endless, lambda error: None, Held("step", new_id(), 1))
with deadlines.watchdog.watching(deadline):
    endless.function(None)
"""


def test_a_tool_that_lets_no_thread_run_loses_its_process_as_well() -> None:
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", HOLDS_THE_LOCK],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout == "it begins\n"
    assert ended.returncode != 0
    assert "Timeout" in ended.stderr and "endless" in ended.stderr
    assert time.monotonic() - began < 30


def test_celery_leaves_an_executor_more_time_than_any_attempt_takes() -> None:
    from console.celery import app
    from runs import tasks

    assert tasks.execute.time_limit > limits.MAX_TIMEOUT_SECONDS
    assert app.conf.task_time_limit > limits.MAX_LOCAL_TIMEOUT_SECONDS + limits.SLICE_SECONDS

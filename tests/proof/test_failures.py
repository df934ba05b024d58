"""Whatever authors' code fails with, the attempt has failed: no process dies, no run loops."""

from __future__ import annotations

import time

import pytest

from runs import registry
from runs.models import Run
from tests.harness import World, as_role
from tests.proof import failing

HOWS = {
    "exit": "the library thinks that it is a program",
    "cancelled": "somebody's timeout",
    "unprintable": "Its message cannot be shown (RuntimeError).",
}


@pytest.fixture
def start(world: World) -> object:
    assert failing.fail_in_the_executor.is_remote
    with as_role("placet_owner"):
        registry.register(registry.collect())
    return lambda how, where: world.start("failing", how=how, where=where)


def settle(world: World, run: Run) -> Run:
    """Until the run ended or waits for a person; the second attempt is due in milliseconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        world.settle()
        statuses = {step.status for step in world.steps(run)}
        if world.run_now(run).finished_at or "in_doubt" in statuses:
            return world.run_now(run)
        time.sleep(0.02)
    raise AssertionError(world.run_now(run).waiting_for)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("where", ["workflow", "worker"])
def test_a_run_fails_with_the_reason(world: World, start: object, how: str, where: str) -> None:
    run = settle(world, start(how, where))  # type: ignore[operator]
    assert run.status == "failed"
    assert run.error is not None and HOWS[how] in run.error["message"]
    assert [step.failures for step in world.steps(run)] == ([2] if where == "worker" else [])


@pytest.mark.parametrize("how", HOWS)
def test_an_effect_is_in_doubt_when_its_retries_are_spent(
    world: World, start: object, how: str
) -> None:
    run = settle(world, start(how, "executor"))  # type: ignore[operator]
    (step,) = world.steps(run)
    assert (step.status, step.attempt, step.failures) == ("in_doubt", 2, 2)
    assert HOWS[how] in step.error["message"]

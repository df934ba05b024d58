"""When an attempt of a step begins, and that nobody takes it from who lives."""

from __future__ import annotations

import pytest

from runs import outcomes, transitions
from runs.errors import ClaimMissed
from tests.harness import World, as_role


def test_no_executor_starts_a_step_before_its_time(world: World) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        transitions.put_off_start(step.id, seconds=60)
        with pytest.raises(ClaimMissed):
            transitions.start_step(step.id, holder="early", seconds=60)
        transitions.put_off_start(step.id, seconds=0)
        assert transitions.start_step(step.id, holder="in time", seconds=60).attempt == 1


def test_who_lives_is_not_taken_over(world: World) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        transitions.start_step(step.id, holder="alive", seconds=60)
        with pytest.raises(ClaimMissed, match="is alive"):
            transitions.take_over(step.id, outcomes.after_death("keyed", 0))
    (step,) = world.steps(run)
    assert (step.status, step.stepclaim.holder) == ("running", "alive")

"""What follows an attempt that failed: pure decisions first, then runs that come to them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runs import Refusal, Retry, RetryLater, limits, retries
from runs.models import Effect, Event, Run, Step
from runs.retries import Again, Tries
from tests import zoo
from tests.harness import World
from tests.zoo import ledger


def most(low: float, high: float) -> float:
    return high


def tries(effect: str = "keyed", failures: int = 1, **more: Any) -> Tries:
    return Tries(effect=effect, failures=failures, unknowns=more.pop("unknowns", 0), **more)


ERROR = RuntimeError("out of order")
LATER = RetryLater("not now", 7)


@pytest.mark.parametrize(
    ("state", "retry", "error", "expected"),
    [
        (tries(failures=1), Retry(), ERROR, Again(wait_seconds=1)),
        (tries(failures=3), Retry(), ERROR, Again(wait_seconds=4)),
        (tries(failures=4), Retry(cap_seconds=3), ERROR, Again(wait_seconds=3)),
        (tries(failures=5, unknowns=5), Retry(), ERROR, "in_doubt"),
        (tries(failures=5, unknowns=0), Retry(), LATER, "paused"),
        (tries(failures=5, unknowns=0), Retry(spent="fail"), LATER, "failed"),
        (tries(failures=5, unknowns=1), Retry(spent="fail"), LATER, "in_doubt"),
        (tries("safe", failures=5), Retry(), ERROR, "paused"),
        (tries("safe", failures=5), Retry(spent="fail"), ERROR, "failed"),
        (tries("once", unknowns=1), Retry(), ERROR, "in_doubt"),
        (tries("once", unknowns=0), Retry(), LATER, Again(wait_seconds=8)),
        (tries(failures=1), Retry(base_seconds=0), LATER, Again(wait_seconds=7)),
        (tries("safe"), Retry(not_retried=(RuntimeError,)), ERROR, "paused"),
        (tries(unknowns=1), Retry(not_retried=(RuntimeError,)), ERROR, "in_doubt"),
        (tries(left_seconds=0.5), Retry(), ERROR, Again(wait_seconds=0.5)),
        (tries(left_seconds=0), Retry(), ERROR, "paused"),
        (tries(left_seconds=5), Retry(), LATER, "paused"),
    ],
)
def test_the_class_and_the_counts_decide(
    state: Tries, retry: Retry, error: Exception, expected: Any
) -> None:
    assert retries.after_error(state, retry, error, most) == expected


@pytest.mark.parametrize(
    ("effect", "deaths", "expected"),
    [
        ("keyed", 1, Again(wait_seconds=0)),
        ("keyed", 2, Again(wait_seconds=2)),
        ("safe", 4, Again(wait_seconds=8)),
        ("safe", limits.MAX_DEATHS, "paused"),
        ("keyed", limits.MAX_DEATHS, "in_doubt"),
        ("probed", limits.MAX_DEATHS, "in_doubt"),
        ("once", 1, "in_doubt"),
    ],
)
def test_deaths_wait_ever_longer_until_they_are_poison(
    effect: str, deaths: int, expected: Any
) -> None:
    assert retries.after_death(effect, deaths) == expected


def test_the_wait_is_drawn_from_all_of_its_span() -> None:
    import random

    drawn = [
        retries.after_error(tries(failures=3), Retry(), ERROR, random.uniform) for _ in range(400)
    ]
    waits = [again.wait_seconds for again in drawn if isinstance(again, Again)]
    assert len(waits) == 400
    assert min(waits) < 0.4 and max(waits) > 3.6
    assert all(0 <= wait <= 4 for wait in waits)


def test_what_a_provider_asks_for_is_bounded() -> None:
    assert RetryLater("x", 10**9).after_seconds == limits.MAX_RETRY_LATER_SECONDS
    assert RetryLater("x", -5).after_seconds == 0
    assert RetryLater("x").after_seconds is None


@pytest.mark.parametrize(
    "said",
    [
        {"attempts": 0},
        {"attempts": limits.MAX_ATTEMPTS + 1},
        {"base_seconds": -1},
        {"total_seconds": 0},
        {"total_seconds": limits.MAX_RETRY_TOTAL_SECONDS + 1},
        {"not_retried": [ValueError]},
        {"not_retried": (int,)},
        {"spent": "perhaps"},
    ],
)
def test_a_retry_that_makes_no_sense_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Retry"):
        Retry(**said)


# Runs


def set_switch(name: str, times: int) -> None:
    (zoo.world_dir() / name).write_text(str(times))


def come_to_rest(world: World, run: Run, seconds: float = 10) -> Step:
    """Until the run has ended, or its step waits for a person."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        world.settle()
        step = Step.objects.filter(run=run).order_by("-position").first()
        ended = world.run_now(run).finished_at is not None
        if step is not None and (ended or step.status in ("in_doubt", "paused")):
            return step
        time.sleep(0.02)
    raise AssertionError(f"It did not come to rest: {world.run_now(run).waiting_for}")


def call(world: World, name: str, /, *, workflow: str = "calling", **arguments: Any) -> Run:
    return world.start(workflow, tool=name, arguments=arguments)


def test_not_now_is_known_to_have_done_nothing_so_the_step_pauses(world: World) -> None:
    run = call(world, "seat", name="x")
    set_switch("seat-later", 99)
    step = come_to_rest(world, run)
    assert (step.status, step.failures, step.unknowns) == ("paused", 3, 0)
    assert step.error == {"kind": "RetryLater", "message": "the office is closed"}
    assert Effect.objects.get(step=step).status == "failed"
    now = world.run_now(run)
    assert now.waiting_for == "a person to say how seat goes on: its attempts are spent"
    assert Event.objects.filter(run=run, kind="step.paused").count() == 1


def test_one_unknown_among_them_makes_it_a_doubt(world: World) -> None:
    run = call(world, "seat", name="x")
    set_switch("seat-breaks", 1)
    set_switch("seat-later", 99)
    step = come_to_rest(world, run)
    assert (step.status, step.failures, step.unknowns) == ("in_doubt", 3, 1)


def test_a_once_tool_may_say_not_now_and_is_tried_again(world: World) -> None:
    run = call(world, "ring")
    set_switch("ring-later", 2)
    step = come_to_rest(world, run)
    assert (step.status, step.attempt, step.failures) == ("succeeded", 3, 2)
    assert len(ledger("rang")) == 1


def test_an_author_who_wants_to_be_told_is_told(world: World) -> None:
    run = call(world, "enrol", workflow="minding", name="x")
    set_switch("enrol-later", 99)
    step = come_to_rest(world, run)
    assert step.status == "failed"
    assert world.result(run) == "RetryLater: the office is closed"


def test_an_error_that_is_not_retried_spends_all_attempts(world: World) -> None:
    step = come_to_rest(world, call(world, "hope"))
    assert (step.status, step.attempt, len(ledger("hoped"))) == ("in_doubt", 1, 1)
    run = call(world, "guess", workflow="minding")
    come_to_rest(world, run)
    assert world.result(run) == "Hopeless: there is no point"
    assert len(ledger("guessed")) == 1


def test_all_attempts_end_when_their_time_is_over(world: World) -> None:
    step = come_to_rest(world, call(world, "wait_and_see"))
    assert step.status == "paused"
    assert 1 < step.attempt < 100
    assert step.give_up_at is not None and step.started_at is not None
    assert 0.25 < (step.give_up_at - step.started_at).total_seconds() < 0.5


def test_the_database_counts_the_time_of_a_step_of_the_executor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when no executor was there to end it: the next one sends nothing."""
    from runs.declare import TOOLS

    # The longest wait that may be drawn: with a short one the second attempt would be in time.
    monkeypatch.setattr("random.uniform", lambda least, most: most)
    slow = Retry(attempts=100, base_seconds=0.2, cap_seconds=0.2, total_seconds=0.2)
    before = TOOLS["seat"]
    TOOLS["seat"] = before.__class__(**{**before.__dict__, "retry": slow})
    try:
        run = call(world, "seat", name="x")
        set_switch("seat-breaks", 1)
        world.settle()
        (step,) = world.steps(run)
        assert step.give_up_at is not None
        time.sleep(0.5)
        step = come_to_rest(world, run)
    finally:
        TOOLS["seat"] = before
    assert (step.status, step.attempt) == ("in_doubt", 2)
    assert step.error is not None
    assert step.error["kind"] == "OutOfTime"
    assert ledger("seated") == []


def test_a_refusal_is_a_failure_at_once_whatever_the_retries(world: World) -> None:
    run = world.start("refusing")
    world.settle()
    assert world.run_now(run).error == {"kind": "StepFailed", "message": "the world said no"}
    assert issubclass(Refusal, Exception)

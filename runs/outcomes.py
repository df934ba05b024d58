"""What is recorded of an attempt that did not simply succeed: the decisions of `retries`."""

from __future__ import annotations

import random
from typing import Any

from runs import retries
from runs.declare import TOOLS
from runs.models import Step
from runs.retries import Again, Retry, Tries
from runs.transitions import Outcome

PUT_OFF_SECONDS = 10.0
"""How long, at most, until a step is tried again that found the vault away."""

EXECUTOR_LOST = {
    "kind": "ExecutorLost",
    "message": "The executor was lost during this attempt.",
}


def after_error(
    step: Step,
    error: BaseException,
    told: dict[str, str],
    *,
    left_seconds: float | None = None,
    is_unknown: bool | None = None,
    is_cleared_up: bool = False,
) -> Outcome:
    """After an error without a definitive answer: tried again, or what its class makes of it.

    `is_unknown` is False for an error before anything was sent.
    """
    if is_unknown is None:
        is_unknown = retries.is_unknown(step.effect, error)
    before = 0 if is_cleared_up else step.unknowns
    tries = Tries(
        effect=step.effect,
        failures=step.failures + 1,
        unknowns=before + is_unknown,
        left_seconds=left_seconds,
    )
    decision = retries.after_error(tries, retry_of(step), error, random.uniform)
    return _as_outcome(
        decision,
        told,
        event="step.attempt_failed",
        is_failure=True,
        is_unknown=is_unknown,
        is_cleared_up=is_cleared_up,
    )


def after_death(effect: str, deaths: int) -> Outcome:
    """What becomes of a step whose executor died in it, `deaths` times before this."""
    decision = retries.after_death(effect, deaths + 1)
    error = EXECUTOR_LOST
    if not isinstance(decision, Again) and effect != "once":
        message = f"The executor was lost in {deaths + 1} attempts of this step."
        return Outcome(
            status=decision,
            event="step.poisoned",
            error={"kind": "Poison", "message": message},
            is_death=True,
            is_unknown=effect != "safe",
        )
    return _as_outcome(
        decision, error, event="step.taken_over", is_death=True, is_unknown=effect != "safe"
    )


def not_completed(step: Step, told: dict[str, str]) -> Outcome:
    """The outside has not said in time what became of the attempt that was left to it."""
    return after_error(step, TimeoutError(told["message"]), told)


def spent(step: Step) -> Outcome:
    """No further attempt: the time of all of them is over."""
    told = {"kind": "OutOfTime", "message": "The time for all attempts of this step is over."}
    if step.error:
        told["message"] = f"{told['message']} The last one: {step.error['message']}"
    return _as_outcome(retries.spent(retry_of(step), step.unknowns), told, event="")


def failed(error: dict[str, str], *, is_cleared_up: bool = False) -> Outcome:
    """A definitive no of the outside world."""
    return Outcome(
        status="failed",
        event="step.failed",
        error=error,
        is_failure=True,
        is_cleared_up=is_cleared_up,
    )


def stopped(step: Step, error: dict[str, str]) -> Outcome:
    """This attempt sent nothing, and none may follow. Whether an earlier one had its effect may
    be unknown: then it stays so."""
    if step.unknowns:
        return Outcome(status="in_doubt", event="step.in_doubt", error=error, is_failure=True)
    return failed(error)


def put_off(error: dict[str, str]) -> Outcome:
    """Nothing was sent, and nothing is known against sending it later: no failure is counted."""
    return Outcome(
        status="ready",
        event="step.put_off",
        error=error,
        wait_seconds=random.uniform(PUT_OFF_SECONDS / 2, PUT_OFF_SECONDS),
    )


def retry_of(step: Step) -> Retry:
    """What the tool of a step says about its retries, if this process knows it."""
    tool = TOOLS.get(step.name)
    return Retry() if tool is None else tool.retry


def _as_outcome(
    decision: Again | retries.Ended, error: dict[str, str], *, event: str, **more: Any
) -> Outcome:
    if isinstance(decision, Again):
        return Outcome(
            status="ready", event=event, error=error, wait_seconds=decision.wait_seconds, **more
        )
    return Outcome(status=decision, event=f"step.{decision}", error=error, **more)

"""Attempts of safe tools, which the worker makes itself, in the slice of its run."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runs import canonical, replacing, retries, settlements, telemetry
from runs.beats import RunBeats
from runs.calls import AUTHOR_FAILURES, SafeCall, described, run_tool
from runs.deadlines import AttemptTimedOut, Overrun
from runs.errors import (
    Fenced,
    InvalidArguments,
    NotCanonical,
    PayloadTooLarge,
    Refusal,
    StepFailed,
)
from runs.journal import Entry
from runs.leaving import Steered, Stopped
from runs.models import Settlement
from runs.points import reach
from runs.retries import Again, Tries
from runs.transitions import rows

if TYPE_CHECKING:
    from runs.handles import Call
    from runs.slice import Slice

Answer = Settlement.Answer
OUT_OF_TIME = {"kind": "OutOfTime", "message": "The time for all attempts of this step is over."}


def attempt(slice: Slice, call: Call, entry: Entry | None) -> Any:
    """One attempt, and the commit of what became of it.

    Returns `(result,)`, the `StepFailed` of a step that has failed for good, or None where it
    is to be tried again, or a person is to say how it goes on.
    """
    made = _Attempt(slice, call, entry)
    if made.left_seconds is not None and made.left_seconds <= 0:
        return made.end(retries.spent(call.tool.retry, 0), OUT_OF_TIME)
    try:
        return made.make()
    except Overrun:
        # The watchdog has recorded it and ends this process: nothing more is written.
        raise Stopped(Fenced(f"{call.tool.name} came back too late.")) from None


class _Attempt:
    """What is known of an attempt while it is made."""

    def __init__(self, slice: Slice, call: Call, entry: Entry | None) -> None:
        self._slice, self._call, self._tool = slice, call, call.tool
        self._began = time.monotonic()
        self._number = 1 if entry is None else entry.attempt + 1
        self._failures = 0 if entry is None else entry.failures
        total = call.tool.retry.total_seconds
        left = total if entry is None or entry.left_seconds is None else entry.left_seconds
        self._ends_at = None if left is None else self._began + left

    @property
    def left_seconds(self) -> float | None:
        """Until the end of all attempts."""
        return None if self._ends_at is None else self._ends_at - time.monotonic()

    def make(self) -> Any:
        seen = SafeCall(
            idempotency_key=self._slice.key_of(self._call.place, self._tool.name),
            attempt=self._number,
            log=logging.getLogger(f"placet.tool.{self._tool.name}"),
            beats=RunBeats(self._slice.id),
        )
        attributes = {"placet.run.id": str(self._slice.id), "placet.attempt": self._number}
        arguments = canonical.decode(self._call.arguments)
        try:
            with telemetry.attempt(self._tool.name, attributes):
                reach(f"calling:{self._tool.name}")
                value = run_tool(
                    self._tool, seen, arguments, held=self._slice.claim, overrun=self._overrun
                )
                reach(f"called:{self._tool.name}")
                result = canonical.encode(value)
        except Fenced as fenced:
            raise Stopped(fenced) from None
        except (Refusal, NotCanonical, PayloadTooLarge) as refusal:
            self._failures += 1
            return self.end("failed", described(refusal))
        except AUTHOR_FAILURES as failure:
            told = described(failure)
            seen.log.warning("%s failed: %s", self._tool.name, told["message"])
            return self._after(failure, told)
        self._record("succeeded", "step.succeeded", result=result)
        return (canonical.decode(result),)

    def _overrun(self, error: AttemptTimedOut) -> None:
        """From the watchdog's thread: the tool will not come back."""
        self._after(error, described(error))

    def _after(self, error: BaseException, told: dict[str, str]) -> Any:
        self._failures += 1
        tries = Tries(
            effect="safe", failures=self._failures, unknowns=0, left_seconds=self.left_seconds
        )
        decision = retries.after_error(tries, self._tool.retry, error, random.uniform)
        if not isinstance(decision, Again):
            return self.end(decision, told)
        wait = timedelta(seconds=decision.wait_seconds)
        self._record("ready", "step.attempt_failed", wait=wait, error=told)
        self._slice.reasons[self._call.position] = (
            f"the next attempt of {self._tool.name}, after: {told['message']}"
        )
        return None

    def end(self, status: str, told: dict[str, str]) -> Any:
        """No further attempt by itself: failed, or a person says how it goes on."""
        self._record(status, f"step.{status}", error=told)
        if status == "failed":
            return StepFailed(told["message"], step=self._tool.name, kind=told["kind"])
        self._slice.reasons[self._call.position] = rows.PAUSED.format(self._tool.name)
        return None

    def _record(
        self, status: str, event: str, *, error: dict[str, str] | None = None, **more: Any
    ) -> None:
        if error is not None:
            more |= {"error": error, "body": canonical.encode({"error": error})}
        if status in ("ready", "paused") and self._tool.retry.total_seconds is not None:
            more["give_up"] = timedelta(seconds=self._tool.retry.total_seconds)
        self._slice.record(
            self._call.place,
            "tool",
            self._tool.name,
            self._call.arguments,
            status=status,
            event=event,
            attempt=self._number,
            failures=self._failures,
            took=timedelta(seconds=time.monotonic() - self._began),
            **more,
        )


def settle(slice: Slice, call: Call, entry: Entry) -> bool:
    """Carries out what people have said of a paused step; False while nobody has."""
    said = settlements.agreed_about(entry.id, entry.attempt)
    if said is None:
        slice.reasons[call.position] = rows.PAUSED.format(call.tool.name)
        return False
    slice.journal[call.place] = after = _after(call, entry, said)
    told = {"settled": said.answer} | ({} if after.error is None else {"error": after.error})
    slice.record(
        call.place,
        "tool",
        call.tool.name,
        call.arguments,
        status=after.status,
        event=f"step.{after.status}",
        attempt=after.attempt,
        failures=after.failures,
        result=after.result,
        error=after.error,
        body=canonical.encode(told),
        is_fresh=after.status == "ready",
    )
    if said.answer == Answer.UNDO:
        # The author's code has no part in it: the run ends after it is undone.
        raise Steered("undo")
    return True


def _after(call: Call, entry: Entry, said: Settlement) -> Entry:
    """The step as it is after what people have said."""
    if said.answer == Answer.RETRY:
        return replace(
            entry, status="ready", failures=0, error=None, is_due=True, left_seconds=None
        )
    if said.answer == Answer.SKIP:
        return replace(entry, status="succeeded", result=bytes(said.result or b""), error=None)
    if said.answer == Answer.RETRY_WITH:
        try:
            replacing.checked(call.tool, bytes(said.result or b""))
        except InvalidArguments as error:
            # One more attempt that failed: so that people are asked again.
            return replace(entry, attempt=entry.attempt + 1, error=described(error))
        return replace(entry, status="cancelled", error=replacing.REPLACED)
    return replace(entry, status="failed", error=settlements.failure(said, was_in_doubt=False))

"""Attempts of safe tools, which the worker makes itself, in the slice of its run."""

from __future__ import annotations

import logging
import random
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from runs import canonical, telemetry
from runs.calls import AUTHOR_FAILURES, SafeCall, described, run_tool
from runs.errors import NotCanonical, PayloadTooLarge, Refusal, StepFailed
from runs.journal import Entry
from runs.leaving import Parked

if TYPE_CHECKING:
    from runs.context import Prepared
    from runs.slice import Slice


def attempt(slice: Slice, position: int, call: Prepared, entry: Entry | None) -> Any:
    """One attempt, and the commit of what became of it.

    Returns `(result,)`, or the `StepFailed` of a step that has failed for good; raises `Parked`
    where it is to be tried again.
    """
    tool, began = call.tool, time.monotonic()
    number, failures = (1, 0) if entry is None else (entry.attempt + 1, entry.failures)
    seen = SafeCall(
        idempotency_key=slice.key_of(position, tool.name),
        attempt=number,
        log=logging.getLogger(f"placet.tool.{tool.name}"),
    )
    attributes = {"placet.run.id": str(slice.id), "placet.attempt": number}
    error: dict[str, str] | None = None
    result: bytes | None = None
    is_final = False
    try:
        with telemetry.attempt(tool.name, attributes):
            result = canonical.encode(run_tool(tool, seen, canonical.decode(call.arguments)))
    except (Refusal, NotCanonical, PayloadTooLarge) as refusal:
        error, is_final = described(refusal), True
    except AUTHOR_FAILURES as failure:
        error = described(failure)
        seen.log.warning("%s failed: %s", tool.name, error["message"])
    failures += error is not None
    took = timedelta(seconds=time.monotonic() - began)
    record = partial(
        slice.record,
        position,
        "tool",
        tool.name,
        call.arguments,
        attempt=number,
        failures=failures,
        took=took,
    )
    if error is None:
        record(status="succeeded", event="step.succeeded", result=result)
        return (canonical.decode(result or b"null"),)
    failed: dict[str, Any] = {"error": error, "body": canonical.encode({"error": error})}
    if is_final or failures >= tool.retry.attempts:
        record(status="failed", event="step.failed", **failed)
        return StepFailed(error["message"], step=tool.name, kind=error["kind"])
    wait = timedelta(seconds=random.uniform(0, tool.retry.longest_wait_seconds(failures)))
    record(status="ready", event="step.attempt_failed", wait=wait, **failed)
    raise Parked(f"the next attempt of {tool.name}, after: {error['message']}")

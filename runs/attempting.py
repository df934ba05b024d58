"""One attempt of a step in the executor: prove, borrow, ask or call, and say what became of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runs import canonical, outcomes, proofs, telemetry
from runs.beats import Beats
from runs.calls import AUTHOR_FAILURES, EffectCall, described, run_tool
from runs.claims import Held
from runs.clock import database_now
from runs.deadlines import AttemptTimedOut
from runs.declare import Tool
from runs.errors import (
    ConsentMismatch,
    CredentialRefused,
    CredentialUnavailable,
    Fenced,
    NotCanonical,
    NotRegistered,
    PayloadTooLarge,
    Refusal,
)
from runs.models import Step
from runs.points import reach
from runs.probes import CannotSay, DidNotHappen, Happened
from runs.proofs import Credential
from runs.transitions import Outcome

logger = logging.getLogger(__name__)

Finish = Callable[[Outcome], None]


class ProbeUnclear(Exception):
    """The provider could not say what became of the effect."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What is known of the attempt that is being made."""

    held: Held
    step: Step
    number: int
    finish: Finish
    """Records an outcome; the watchdog uses it, from another thread."""
    ends_at: float | None
    """The end of all attempts, by the monotonic clock."""

    @property
    def left_seconds(self) -> float | None:
        return None if self.ends_at is None else self.ends_at - time.monotonic()


def attempt(held: Held, step: Step, number: int, finish: Finish) -> Outcome:
    """Makes one attempt; returns what became of it. Raises `Fenced` when the claim is lost."""
    attributes = {
        "gen_ai.conversation.id": str(step.run_id),
        "placet.run.id": str(step.run_id),
        "placet.step.id": str(step.id),
        "placet.attempt": number,
        "placet.tenant": step.tenant,
    }
    made = Attempt(held=held, step=step, number=number, finish=finish, ends_at=_ends_at(step))
    with telemetry.segment(f"attempt {step.name}", step.id, held.fence, attributes):
        if made.left_seconds is not None and made.left_seconds <= 0:
            return outcomes.spent(step)
        try:
            tool, arguments = proofs.proven(step)
        except (NotRegistered, ConsentMismatch) as error:
            logger.error("refused: %s", error)
            return outcomes.stopped(step, described(error))
        try:
            with proofs.lent(step, tool, fence=held.fence, attempt=number) as credential:
                return _asked_or_called(made, tool, arguments, credential)
        except CredentialRefused as error:
            logger.error("refused: %s", error)
            return outcomes.stopped(step, described(error))
        except CredentialUnavailable as error:
            logger.warning("put off: %s", error)
            return outcomes.put_off(described(error))


def _ends_at(step: Step) -> float | None:
    if step.give_up_at is None:
        return None
    return time.monotonic() + (step.give_up_at - database_now()).total_seconds()


def _asked_or_called(
    made: Attempt, tool: Tool, arguments: dict[str, Any], credential: Credential
) -> Outcome:
    """Asks the provider first, where an earlier attempt may have had its effect."""
    beats = Beats(made.held, credential.scrub)
    kept = made.step.stepclaim.details
    call = EffectCall(
        idempotency_key=made.step.key,
        attempt=made.number,
        secret=credential.secret,
        log=logging.getLogger(f"placet.tool.{tool.name}"),
        held=made.held,
        beats=beats,
        last_details=None if kept is None else canonical.decode(bytes(kept)),
    )
    try:
        is_probing = tool.probe is not None and made.step.unknowns > 0
        answer = _probed(made, tool, call, arguments, credential) if is_probing else None
        if isinstance(answer, Outcome):
            return answer
        return _called(made, tool, call, arguments, credential, is_cleared_up=is_probing)
    finally:
        beats.flush()


def _probed(
    made: Attempt, tool: Tool, call: EffectCall, arguments: dict[str, Any], credential: Credential
) -> Outcome | DidNotHappen:
    """What the provider says; an outcome, unless it says that nothing happened."""

    def unclear(error: BaseException) -> Outcome:
        # Nothing was sent in this attempt, and what was unknown before still is.
        return outcomes.after_error(
            made.step,
            error,
            described(error, credential.scrub),
            left_seconds=made.left_seconds,
            is_unknown=False,
        )

    def overrun(error: AttemptTimedOut) -> None:
        made.finish(unclear(error))

    try:
        reach(f"probing:{tool.name}")
        answer = run_tool(
            tool, call, arguments, held=made.held, overrun=overrun, function=tool.probe
        )
        reach(f"probed:{tool.name}")
        if isinstance(answer, Happened):
            return _succeeded(made, tool, credential, answer.result, {"probed": True})
        if isinstance(answer, DidNotHappen):
            return answer
        raise ProbeUnclear(
            answer.reason if isinstance(answer, CannotSay) else f"Its probe answered {answer!r}."
        )
    except Fenced:
        raise
    except AUTHOR_FAILURES as error:
        call.log.warning("the probe of %s cannot say: %s", tool.name, error)
        return unclear(error)


def _called(
    made: Attempt,
    tool: Tool,
    call: EffectCall,
    arguments: dict[str, Any],
    credential: Credential,
    *,
    is_cleared_up: bool,
) -> Outcome:
    def after(error: BaseException) -> Outcome:
        scrubbed = described(error, credential.scrub)
        call.log.warning("%s failed: %s", tool.name, scrubbed["message"])
        return outcomes.after_error(
            made.step,
            error,
            scrubbed,
            left_seconds=made.left_seconds,
            is_cleared_up=is_cleared_up,
        )

    def overrun(error: AttemptTimedOut) -> None:
        made.finish(after(error))

    attributes = {"placet.step.id": str(made.step.id), "placet.attempt": made.number}
    try:
        reach(f"calling:{tool.name}")
        with telemetry.attempt(tool.name, attributes):
            value = run_tool(tool, call, arguments, held=made.held, overrun=overrun)
        reach(f"called:{tool.name}")
    except Fenced:
        raise
    except Refusal as refusal:
        return outcomes.failed(described(refusal, credential.scrub))
    except AUTHOR_FAILURES as error:
        return after(error)
    if call.is_left_to_outside:
        return Outcome(
            status="waiting",
            event="step.waiting",
            wait_seconds=call.completed_within,
            is_cleared_up=is_cleared_up,
        )
    return _succeeded(made, tool, credential, value)


def _succeeded(
    made: Attempt,
    tool: Tool,
    credential: Credential,
    value: Any,
    body: dict[str, Any] | None = None,
) -> Outcome:
    try:
        result = canonical.encode(credential.scrub(value))
    except (NotCanonical, PayloadTooLarge) as error:
        # The tool came back, so the effect probably happened: that is not a failure.
        status = "failed" if tool.effect == "safe" else "in_doubt"
        return Outcome(
            status=status,
            event=f"step.{status}",
            error=described(error, credential.scrub),
            is_failure=True,
            is_unknown=tool.effect != "safe",
        )
    return Outcome(status="succeeded", event="step.succeeded", result=result, body=body or {})

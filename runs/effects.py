"""The executor: claims a cleared step, proves what it sends, calls the tool, records.

Two things are plugged in by the console, and without them nothing that needs them runs:
the verifier of consent (lock 4) and the provider of credentials.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from psycopg.errors import RaiseException

from runs import canonical, claims, holders, limits, telemetry, transitions
from runs.calls import AUTHOR_FAILURES, described, run_tool
from runs.claims import Held
from runs.declare import TOOLS, Tool
from runs.errors import (
    ClaimMissed,
    ConsentMismatch,
    CredentialRefused,
    CredentialUnavailable,
    Fenced,
    InvalidArguments,
    NotCanonical,
    NotRegistered,
    PayloadTooLarge,
    Refusal,
)
from runs.models import Step
from runs.points import reach
from runs.transitions import Outcome

logger = logging.getLogger(__name__)

FINISH_SECONDS = 0.2
"""How long between two tries to record an outcome while the database is away."""

PUT_OFF_SECONDS = 10.0
"""How long, at most, until a step is tried again that found the vault away."""


@dataclass(frozen=True, kw_only=True)
class ClaimedStep:
    """What a provider of credentials is told about the step that asks."""

    tenant: str
    run_id: UUID
    step_id: UUID
    tool: str
    attempt: int
    fence: int
    digest: bytes
    key: str
    clearance_id: UUID | None
    secret: str


class Credential(Protocol):
    """A secret for the time of one attempt."""

    @property
    def secret(self) -> Mapping[str, str]: ...

    def scrub(self, value: Any) -> Any:
        """The value with every form of the secret replaced by its name."""
        ...


class CredentialProvider(Protocol):
    """Answers one question for a claimed, cleared step: its credential.

    A warrant (a token signed for this step, tool and digest) will be fetched by the
    provider itself from what `claimed` says; the engine never carries one.
    """

    def lease(self, claimed: ClaimedStep) -> AbstractContextManager[Credential]:
        """Raises `CredentialRefused`, or `CredentialUnavailable` where asking again may help."""
        ...


class Verifier(Protocol):
    """Lock 4: compares what is about to be sent with what was consented to."""

    def __call__(self, step: Step, tool: Tool, arguments: dict[str, Any]) -> None:
        """Raises `ConsentMismatch` with a sentence."""
        ...


@dataclass(frozen=True, kw_only=True)
class EffectCall:
    """What a tool's function gets as `call`."""

    idempotency_key: str
    attempt: int
    secret: Mapping[str, str]
    log: logging.Logger
    held: Held

    def heartbeat(self) -> None:
        """Raises `Fenced` when the claim is lost, so that a long tool can stop early."""
        if self.held.is_lost:
            raise Fenced(f"The claim on step {self.held.id} is lost.")


class _NoSecret:
    secret: Mapping[str, str] = {}

    def scrub(self, value: Any) -> Any:
        return value


_provider: CredentialProvider | None = None
_verifier: Verifier | None = None


def plug_credentials(provider: CredentialProvider | None) -> None:
    """Names who answers for secrets."""
    global _provider
    _provider = provider


def plug_verifier(verifier: Verifier | None) -> None:
    """Names who proves consent before money moves."""
    global _verifier
    _verifier = verifier


def drain(first: UUID | None = None, *, seconds: float = limits.SLICE_SECONDS) -> int:
    """Executes the hinted step, then whatever else is due; returns how many attempts were made."""
    until, count = time.monotonic() + seconds, 0
    step_id = first or next_due()
    missed: set[UUID] = set()
    while step_id is not None:
        if execute(step_id):
            count += 1
        else:
            missed.add(step_id)
        step_id = next_due(missed) if time.monotonic() < until else None
    return count


def next_due(but: set[UUID] | None = None) -> UUID | None:
    """The step that has been due longest, leaving out those just missed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT s.id FROM runs_step s JOIN runs_run r ON r.id = s.run_id
            WHERE s.status = 'ready' AND s.is_remote AND s.id <> ALL(%s)
              AND (s.not_before IS NULL OR s.not_before <= clock_timestamp())
              AND (r.cancel_requested_at IS NULL OR s.attempt > 0)
              AND r.status IN ('ready', 'running', 'waiting')
            ORDER BY s.not_before NULLS FIRST, s.id LIMIT 1 FOR UPDATE OF s SKIP LOCKED
            """,
            [list(but or ())],
        )
        row = cursor.fetchone()
    return None if row is None else row[0]


def execute(step_id: UUID) -> bool:
    """Makes one attempt of a step; False when it was not to be had."""
    try:
        fence, attempt = transitions.start_step(
            step_id, holder=holders.me(), seconds=settings.PLACET_CLAIM_SECONDS
        )
    except ClaimMissed as missed:
        logger.info("%s", missed)
        return False
    except DatabaseError as error:
        if not isinstance(error.__cause__, RaiseException):
            raise
        logger.error("refused by the database: step %s: %s", step_id, error)
        return False
    held = Held("step", step_id, fence)
    try:
        with claims.keeper.keeping(held):
            outcome = _attempt(held, Step.objects.select_related("run").get(pk=step_id), attempt)
            _finish(held, outcome)
            logger.info("step %s attempt %d: %s", step_id, attempt, outcome.event)
    except Fenced as fenced:
        logger.error("fenced: %s", fenced)
    return True


def _finish(held: Held, outcome: Outcome) -> None:
    """Records an outcome, again and again while the database is away and the claim is not
    lost: what happened outside must not be forgotten for a connection."""
    while True:
        try:
            return transitions.finish_attempt(held, outcome)
        except (OperationalError, InterfaceError) as error:
            if held.is_lost:
                raise
            logger.warning("The outcome of step %s is not recorded yet: %s", held.id, error)
            connection.close()
            time.sleep(FINISH_SECONDS)


def _attempt(held: Held, step: Step, attempt: int) -> Outcome:
    attributes = {
        "gen_ai.conversation.id": str(step.run_id),
        "placet.run.id": str(step.run_id),
        "placet.step.id": str(step.id),
        "placet.attempt": attempt,
        "placet.tenant": step.tenant,
    }
    with telemetry.segment(f"attempt {step.name}", step.id, held.fence, attributes):
        try:
            tool, arguments = _proven(step)
        except (NotRegistered, ConsentMismatch) as error:
            logger.error("refused: %s", error)
            return _stopped(error)
        try:
            with _credential(held, step, tool, attempt) as credential:
                return _call(held, step, tool, arguments, credential, attempt=attempt)
        except CredentialRefused as error:
            logger.error("refused: %s", error)
            return _stopped(error)
        except CredentialUnavailable as error:
            logger.warning("put off: %s", error)
            return _put_off(error)


def _proven(step: Step) -> tuple[Tool, dict[str, Any]]:
    """The tool and the arguments that will be sent; raises unless both are what they must be."""
    tool = TOOLS.get(step.name)
    if tool is None:
        raise NotRegistered(f"This executor knows no tool {step.name}.")
    if tool.declaration_digest != step.declaration_id:
        raise NotRegistered(
            f"The tool {step.name} was declared otherwise when this step was made; "
            "nothing was sent."
        )
    if step.effect != tool.effect:
        raise ConsentMismatch(f"{step.name} is {tool.effect}, but its step says {step.effect}.")
    if step.is_money != (tool.money is not None):
        raise ConsentMismatch(f"{step.name} moves money, but its step says otherwise.")
    try:
        arguments = canonical.decode(step.arguments)
        digest = canonical.step_digest(step.name, tool.arguments(arguments))
    except (InvalidArguments, PayloadTooLarge, ValueError, TypeError) as error:
        raise ConsentMismatch(
            f"The arguments of {step.name} are none that it takes ({error}); nothing was sent."
        ) from error
    if digest != bytes(step.digest):
        raise ConsentMismatch(f"The arguments of {step.name} are not those that were declared.")
    if tool.money is not None:
        if _verifier is None:
            raise ConsentMismatch(
                "Nothing is plugged in that could prove consent; nothing was sent."
            )
        _verifier(step, tool, arguments)
    return tool, arguments


@contextmanager
def _credential(held: Held, step: Step, tool: Tool, attempt: int) -> Iterator[Credential]:
    if not tool.secret:
        yield _NoSecret()
        return
    if _provider is None:
        raise CredentialRefused(f"{tool.name} needs the secret {tool.secret}; no vault is set up.")
    claimed = ClaimedStep(
        tenant=step.tenant,
        run_id=step.run_id,
        step_id=step.id,
        tool=tool.name,
        attempt=attempt,
        fence=held.fence,
        digest=bytes(step.digest),
        key=step.key,
        clearance_id=step.clearance_id,
        secret=tool.secret,
    )
    with _provider.lease(claimed) as credential:
        yield credential


def _call(
    held: Held,
    step: Step,
    tool: Tool,
    arguments: dict[str, Any],
    credential: Credential,
    *,
    attempt: int,
) -> Outcome:
    call = EffectCall(
        idempotency_key=step.key,
        attempt=attempt,
        secret=credential.secret,
        log=logging.getLogger(f"placet.tool.{tool.name}"),
        held=held,
    )
    attributes = {"placet.step.id": str(step.id), "placet.attempt": attempt}
    try:
        reach(f"calling:{tool.name}")
        with telemetry.attempt(tool.name, attributes):
            value = run_tool(tool, call, arguments)
        reach(f"called:{tool.name}")
    except Fenced:
        raise
    except Refusal as refusal:
        return _failed(described(refusal, credential.scrub))
    except AUTHOR_FAILURES as error:
        scrubbed = described(error, credential.scrub)
        call.log.warning("%s failed: %s", tool.name, scrubbed["message"])
        return _failed_for_now(tool, step, scrubbed)
    return _succeeded(tool, credential, value)


def _succeeded(tool: Tool, credential: Credential, value: Any) -> Outcome:
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
        )
    return Outcome(status="succeeded", event="step.succeeded", result=result)


def _failed(error: dict[str, str]) -> Outcome:
    return Outcome(status="failed", event="step.failed", error=error, is_failure=True)


def _stopped(error: Exception) -> Outcome:
    """Nothing was sent: the step fails for good, and the reason says so."""
    return _failed(described(error))


def _put_off(error: Exception) -> Outcome:
    """Nothing was sent, and nothing is known against sending it later: no failure is counted."""
    return Outcome(
        status="ready",
        event="step.put_off",
        error=described(error),
        wait_seconds=random.uniform(PUT_OFF_SECONDS / 2, PUT_OFF_SECONDS),
    )


def _failed_for_now(tool: Tool, step: Step, error: dict[str, str]) -> Outcome:
    """An error without a definitive answer: try again, or say that nobody knows."""
    failures = step.failures + 1
    if tool.effect != "once" and failures < tool.retry.attempts:
        return Outcome(
            status="ready",
            event="step.attempt_failed",
            error=error,
            wait_seconds=random.uniform(0, tool.retry.longest_wait_seconds(failures)),
            is_failure=True,
        )
    if tool.effect == "safe":
        return _failed(error)
    return Outcome(status="in_doubt", event="step.in_doubt", error=error, is_failure=True)


def after_death(effect: str, attempt: int) -> Outcome:
    """What becomes of a step whose executor died in it, by its effect class.

    The first time at once; a step that goes on killing its executor waits ever longer.
    """
    error = {"kind": "ExecutorLost", "message": "The executor was lost during this attempt."}
    if effect == "once":
        return Outcome(status="in_doubt", event="step.in_doubt", error=error)
    wait = 0.0 if attempt <= 1 else min(60.0, 2.0 ** min(attempt - 1, 6))
    return Outcome(status="ready", event="step.taken_over", error=error, wait_seconds=wait)

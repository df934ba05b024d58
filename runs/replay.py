"""Replaying: a recorded run against the code of today, without effects.

The workflow is re-run over what the journal holds. Nothing is called, sent, started or
written: where the code comes to something new, the replay has come to its end.
"""

from __future__ import annotations

import base64
import inspect
import json
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from runs import canonical, journal
from runs.calls import AUTHOR_FAILURES, described
from runs.claims import Held
from runs.context import RunContext
from runs.declare import WORKFLOWS
from runs.errors import Mismatch
from runs.journal import Entry
from runs.leaving import ContinuedAsNew, Parked, Stopped
from runs.models import Run
from runs.slice import Slice

FORMAT = "placet/journal/v1"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A run as it was recorded; also what `export` writes and `read` reads."""

    id: UUID
    tenant: str
    workflow: str
    version: int
    input: bytes
    seed: bytes
    status: str
    result: bytes | None
    error_kind: str
    entries: dict[int, Entry]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a replay. `would_break` says whether the run could not go on today."""

    run_id: UUID
    workflow: str
    outcome: Literal["fits", "differs", "breaks", "unknown"]
    said: str
    recorded: str = ""
    found: str = ""

    @property
    def would_break(self) -> bool:
        return self.outcome != "fits"


class EndReached(BaseException):
    """The code asks for something that the journal does not hold yet."""


class ReplayedSlice(Slice):
    """A slice that answers from the journal, and does nothing new."""

    def begin(self) -> None:
        raise EndReached

    def record(self, *_: Any, **__: Any) -> None:
        raise EndReached

    def declare_now(self) -> None:
        """What is declared is not committed."""

    def show_progress(self, done: int, total: int, note: str) -> None:
        """Nobody is shown how far a replay is."""


def recorded(run: Run) -> Recorded:
    """A run as the database holds it."""
    return Recorded(
        id=run.id,
        tenant=run.tenant,
        workflow=run.workflow,
        version=run.version,
        input=bytes(run.input),
        seed=bytes(run.seed),
        status=run.status,
        result=None if run.result is None else bytes(run.result),
        error_kind=(run.error or {}).get("kind", ""),
        entries=journal.load(run.id),
    )


def replay(run: Recorded) -> Verdict:
    """Re-runs the workflow of a run over its journal, and says whether they agree."""
    workflow = WORKFLOWS.get(run.workflow)
    if workflow is None:
        return _verdict(run, "unknown", f"This code has no workflow called {run.workflow}.")
    slice = ReplayedSlice(
        claim=Held("run", run.id, 0),
        run=Run(id=run.id, tenant=run.tenant, workflow=run.workflow, seed=run.seed),
        # Nothing is tried again: what was not over stays so.
        journal={p: replace(entry, is_due=False) for p, entry in run.entries.items()},
        show_progress=lambda *_: None,
    )
    try:
        given = workflow.checked_input(canonical.decode(run.input))
        result = workflow.function(RunContext(slice), **given)
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError("The workflow is async; only its tools may be.")
        slice.check_is_over()
        verdict = _ended(run, canonical.encode(result))
    except (EndReached, Parked, ContinuedAsNew):
        verdict = _unended(run)
    except Stopped as stopped:
        verdict = _stopped(run, stopped.reason)
    except AUTHOR_FAILURES as error:
        verdict = _failed(run, described(error))
    return verdict


def _stopped(run: Recorded, reason: Exception) -> Verdict:
    if not isinstance(reason, Mismatch):
        return _verdict(run, "breaks", str(reason))
    return replace(
        _verdict(run, "breaks", str(reason)), recorded=reason.recorded, found=reason.found
    )


def _ended(run: Recorded, result: bytes) -> Verdict:
    if run.status == "succeeded" and run.result != result:
        return _verdict(run, "differs", "It ends with another result than was recorded.")
    if run.status == "failed":
        return _verdict(run, "differs", "It succeeds, but the run was recorded as failed.")
    return _verdict(run, "fits", "It ends as was recorded.")


def _unended(run: Recorded) -> Verdict:
    if run.status == "succeeded":
        continued = run.result is not None and b'"continued_as"' in run.result
        if not continued:
            return _verdict(run, "breaks", "It asks for more, but the run was over.")
    return _verdict(run, "fits", f"It agrees with all {len(run.entries)} steps that there are.")


def _failed(run: Recorded, error: dict[str, str]) -> Verdict:
    if run.status == "failed" and run.error_kind == error["kind"]:
        return _verdict(run, "fits", "It fails as was recorded.")
    return _verdict(run, "breaks", f"It fails: {error['kind']}: {error['message']}")


def _verdict(run: Recorded, outcome: Any, said: str) -> Verdict:
    return Verdict(run_id=run.id, workflow=run.workflow, outcome=outcome, said=said)


def export(run: Recorded) -> str:
    """One line of JSON, which holds all that a replay elsewhere needs."""
    entries = [
        {
            "position": entry.position,
            "kind": entry.kind,
            "name": entry.name,
            "status": entry.status,
            "digest": entry.digest.hex(),
            "attempt": entry.attempt,
            "failures": entry.failures,
            "result": _text(journal.result_of(entry)),
            "error": entry.error,
        }
        for _, entry in sorted(run.entries.items())
    ]
    return json.dumps(
        {
            "format": FORMAT,
            "id": str(run.id),
            "tenant": run.tenant,
            "workflow": run.workflow,
            "version": run.version,
            "input": _text(run.input),
            "seed": base64.b64encode(run.seed).decode(),
            "status": run.status,
            "result": _text(run.result),
            "error_kind": run.error_kind,
            "steps": entries,
        }
    )


def read(line: str) -> Recorded:
    """What `export` wrote. Raises `ValueError` with a sentence."""
    try:
        told = json.loads(line)
        if told["format"] != FORMAT:
            raise ValueError(f"the format is {told['format']!r}, not {FORMAT!r}")
        entries = {step["position"]: _entry(told, step) for step in told["steps"]}
        return Recorded(
            id=UUID(told["id"]),
            tenant=told["tenant"],
            workflow=told["workflow"],
            version=told["version"],
            input=told["input"].encode(),
            seed=base64.b64decode(told["seed"]),
            status=told["status"],
            result=_bytes(told["result"]),
            error_kind=told["error_kind"],
            entries=entries,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"This is no exported journal: {error}.") from error


def _entry(told: dict[str, Any], step: dict[str, Any]) -> Entry:
    return Entry(
        id=UUID(told["id"]),
        position=step["position"],
        kind=step["kind"],
        name=step["name"],
        status=step["status"],
        digest=bytes.fromhex(step["digest"]),
        attempt=step["attempt"],
        failures=step["failures"],
        result=_bytes(step["result"]),
        error=step["error"],
        is_due=False,
    )


def _text(encoded: bytes | None) -> str | None:
    return None if encoded is None else encoded.decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()

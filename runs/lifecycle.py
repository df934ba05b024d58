"""Starting a run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from runs import canonical, limits, reserved, schemas
from runs.births import insert_run
from runs.clock import database_now
from runs.errors import (
    IdempotencyMismatch,
    InvalidInput,
    NotCanonical,
    UnknownWorkflow,
)
from runs.models import Run, WorkflowDeclaration
from runs.points import reach


def start_run(
    *,
    tenant: str,
    workflow: str,
    input: dict[str, Any],
    requested_by: Any,
    idempotency_key: str | None = None,
    deadline_seconds: int | None = None,
) -> tuple[Run, bool]:
    """Starts a run of a registered workflow; returns it, and whether it is new.

    It has `deadline_seconds` to end, or what its workflow declares, or any time.
    With an `idempotency_key` that the tenant has used before, the run of that time is
    returned if the request was the same. Raises `UnknownWorkflow`, `InvalidInput`,
    `PayloadTooLarge` or `IdempotencyMismatch`; then nothing has been started.
    """
    declared = get_workflow(workflow)
    encoded = checked_input(declared, input)
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= limits.MAX_IDEMPOTENCY_KEY:
        raise InvalidInput(
            [("", f"An Idempotency-Key has 1 to {limits.MAX_IDEMPOTENCY_KEY} characters.")]
        )
    deadline_at = _deadline(deadline_seconds)
    try:
        with transaction.atomic():
            run = insert_run(
                tenant=tenant,
                declared=declared,
                encoded=encoded,
                requested_by_id=requested_by.pk,
                actor=requested_by.get_username(),
                said={"requested_by": requested_by.get_username()},
                idempotency_key=idempotency_key,
                deadline_at=deadline_at,
            )
    except IntegrityError:
        if idempotency_key is None:
            raise
        before = _started_before(tenant, declared, encoded, idempotency_key)
        if before.requested_by_id != requested_by.pk:
            raise IdempotencyMismatch(
                f"The Idempotency-Key {idempotency_key!r} was used before, by another person."
            ) from None
        return before, False
    transaction.on_commit(lambda: reach("committed:run.started"))
    return run, True


def _deadline(seconds: int | None) -> datetime | None:
    if seconds is None:
        return None
    longest = limits.MAX_DEADLINE_SECONDS
    if not 1 <= seconds <= longest:
        raise InvalidInput([("", f"A deadline is 1 to {longest} seconds after the start.")])
    return database_now() + timedelta(seconds=seconds)


def get_workflow(name: str) -> WorkflowDeclaration:
    """The registered workflow of that name; raises `UnknownWorkflow`.

    Placet's own are none that people or agents start: the database refuses them as well.
    """
    found = WorkflowDeclaration.objects.filter(name=name[:128], is_current=True).first()
    if found is None or reserved.is_own(name):
        raise UnknownWorkflow(f"There is no workflow called {name[:128]!r}.")
    return found


def checked_input(declared: WorkflowDeclaration, input: Any) -> bytes:
    """The canonical bytes of an input; raises `InvalidInput` or `PayloadTooLarge`."""
    try:
        encoded = canonical.encode(input)
    except NotCanonical as error:
        raise InvalidInput([("", str(error))]) from error
    faults = schemas.faults(declared.schema, input)
    if faults:
        raise InvalidInput(faults)
    return encoded


def _started_before(tenant: str, declared: WorkflowDeclaration, encoded: bytes, key: str) -> Run:
    run = Run.objects.get(tenant=tenant, idempotency_key=key)
    if run.workflow != declared.name or bytes(run.input) != encoded:
        raise IdempotencyMismatch(
            f"The Idempotency-Key {key!r} was used before, for another request."
        )
    return run

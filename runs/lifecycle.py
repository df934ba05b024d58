"""Starting a run, and asking for its end: what people and programs may ask of the engine."""

from __future__ import annotations

import hashlib
import itertools
import os
from typing import Any

import jsonschema
from django.db import IntegrityError, connection, transaction

from runs import canonical, dispatch, journal, limits
from runs.declare import pointer, shortened
from runs.errors import (
    AlreadyEnded,
    IdempotencyMismatch,
    InvalidInput,
    NotCanonical,
    UnknownWorkflow,
)
from runs.models import Claim, Run, WorkflowDeclaration
from runs.points import reach

# JSON Schema takes 5.0 for an integer; where a sum may be meant, only 5 is one.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def start_run(
    *,
    tenant: str,
    workflow: str,
    input: dict[str, Any],
    requested_by: Any,
    idempotency_key: str | None = None,
) -> tuple[Run, bool]:
    """Starts a run of a registered workflow; returns it, and whether it is new.

    With an `idempotency_key` that the tenant has used before, the run of that time is
    returned if the request was the same. Raises `UnknownWorkflow`, `InvalidInput`,
    `PayloadTooLarge` or `IdempotencyMismatch`; then nothing has been started.
    """
    declared = get_workflow(workflow)
    encoded = _checked(declared, input)
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= limits.MAX_IDEMPOTENCY_KEY:
        raise InvalidInput(
            [("", f"An Idempotency-Key has 1 to {limits.MAX_IDEMPOTENCY_KEY} characters.")]
        )
    try:
        with transaction.atomic():
            run = _insert(tenant, declared, encoded, requested_by, idempotency_key)
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


def _insert(
    tenant: str, declared: WorkflowDeclaration, encoded: bytes, requested_by: Any, key: str | None
) -> Run:
    run = Run.objects.create(
        tenant=tenant,
        workflow=declared.name,
        version=declared.version,
        input=encoded,
        requested_by=requested_by,
        idempotency_key=key,
        seed=os.urandom(16),
    )
    Claim.objects.create(run=run, tenant=tenant)
    body = {
        "workflow": declared.name,
        "version": declared.version,
        "input": hashlib.sha256(encoded).hexdigest(),
        "requested_by": requested_by.get_username(),
    }
    journal.append(run.id, "run.started", body, actor=requested_by.get_username())
    dispatch.hint("runs", run.id)
    return run


def get_workflow(name: str) -> WorkflowDeclaration:
    """The registered workflow of that name; raises `UnknownWorkflow`."""
    found = WorkflowDeclaration.objects.filter(name=name[:128], is_current=True).first()
    if found is None:
        raise UnknownWorkflow(f"There is no workflow called {name[:128]!r}.")
    return found


def request_cancel(*, run: Run, actor: str) -> bool:
    """Asks for the end of a run; a worker carries it out. False when it was asked before.

    Steps that no executor has started are cancelled; one in flight ends first. Raises
    `AlreadyEnded`.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        Claim.objects.select_for_update(no_key=True).get(run=run)
        now = Run.objects.get(pk=run.pk)
        if now.finished_at is not None:
            raise AlreadyEnded(f"The run has already {now.get_status_display().lower()}.")
        if now.cancel_requested_at is not None:
            return False
        cursor.execute(
            """
            UPDATE runs_run SET cancel_requested_at = clock_timestamp(), cancel_requested_by = %s,
                status = CASE WHEN status IN ('waiting', 'paused', 'quarantined') THEN 'ready'
                         ELSE status END
            WHERE id = %s
            """,
            [actor[:150], run.pk],
        )
        journal.append(run.pk, "run.cancel_requested", {}, actor=actor)
        dispatch.hint("runs", run.pk)
    transaction.on_commit(lambda: reach("committed:run.cancel_requested"))
    return True


def _checked(declared: WorkflowDeclaration, input: Any) -> bytes:
    try:
        encoded = canonical.encode(input)
    except NotCanonical as error:
        raise InvalidInput([("", str(error))]) from error
    validator = _Validator(declared.schema)
    faults = [
        (pointer(fault.absolute_path), f"{shortened(fault.message, limits.MAX_FAULT_CHARACTERS)}.")
        for fault in itertools.islice(validator.iter_errors(input), limits.MAX_FAULTS)
    ]
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

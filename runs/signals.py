"""Signals: named messages to a run, kept in its mailbox until the run takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from runs import canonical, continuations, journal, limits, prepared
from runs.errors import (
    AlreadyEnded,
    IdempotencyMismatch,
    InvalidInput,
    MailboxFull,
    NotCanonical,
    UnknownRun,
)
from runs.models import Claim, Run, Signal, new_id
from runs.points import reach
from runs.transitions import rows

RESERVED = "answer:"


def send_signal(
    *,
    run_id: UUID,
    tenant: str,
    name: str,
    payload: Any,
    sender: str,
    dedup_key: str | None = None,
) -> tuple[Signal, bool]:
    """Puts a message into the mailbox of a run; returns it, and whether it is new.

    `payload` is any JSON value. With a `dedup_key` that this run has had before, the message of
    that time is returned. A run that has continued as new gets it in its newest one. Raises
    `UnknownRun`, `AlreadyEnded`, `MailboxFull`, `InvalidInput`, `PayloadTooLarge`, or
    `IdempotencyMismatch` when the key came with another message; then nothing was sent.
    """
    if not 1 <= len(name) <= limits.MAX_SIGNAL_NAME or name.startswith(RESERVED):
        raise InvalidInput(
            [("/name", f"A signal's name has 1 to {limits.MAX_SIGNAL_NAME} characters.")]
        )
    if dedup_key is not None and (
        not 1 <= len(dedup_key) <= limits.MAX_IDEMPOTENCY_KEY or dedup_key.startswith(RESERVED)
    ):
        raise InvalidInput(
            [("/dedup_key", f"A key has 1 to {limits.MAX_IDEMPOTENCY_KEY} characters.")]
        )
    return put(
        run_id=run_id,
        tenant=tenant,
        name=name,
        payload=payload,
        sender=sender,
        dedup_key=dedup_key,
        event="signal.sent",
    )


def put(
    *,
    run_id: UUID,
    tenant: str,
    name: str,
    payload: Any,
    sender: str,
    dedup_key: str | None,
    event: str,
    position: int | None = None,
) -> tuple[Signal, bool]:
    """What signals and answers share; see `send_signal`."""
    encoded = _encoded(payload)
    run_id = continuations.newest(run_id)
    with transaction.atomic(), prepared.cursor() as cursor:
        if not Claim.objects.select_for_update(no_key=True).filter(run_id=run_id, tenant=tenant):
            raise UnknownRun(f"There is no run {run_id}.")
        before = dedup_key and _sent_before(run_id, dedup_key)
        if before:
            if (before.name, bytes(before.payload)) != (name, encoded):
                raise IdempotencyMismatch(
                    f"The key {dedup_key!r} was used before, for another message."
                )
            return before, False
        _check_takes_mail(run_id)
        signal = Signal.objects.create(
            id=new_id(),
            tenant=tenant,
            run_id=run_id,
            name=name,
            dedup_key=dedup_key,
            payload=encoded,
            sender=sender[:150],
        )
        is_run = sender.startswith("run ")
        body = {"name": name, "from": sender, "bytes": len(encoded)}
        actor = "worker" if is_run else sender
        journal.append(run_id, event, body, position=position, actor=actor)
        rows.wake_if_over(cursor, run_id)
    transaction.on_commit(lambda: reach(f"committed:{event}"))
    return signal, True


def _sent_before(run_id: UUID, dedup_key: str) -> Signal | None:
    """The message of this key to the run, or to one that it continues."""
    found = Signal.objects.raw(
        """
        WITH RECURSIVE line AS (
            SELECT id, continued_from_id FROM runs_run WHERE id = %s
            UNION ALL
            SELECT r.id, r.continued_from_id FROM runs_run r
            JOIN line ON r.id = line.continued_from_id
        )
        SELECT s.* FROM runs_signal s JOIN line ON s.run_id = line.id WHERE s.dedup_key = %s
        """,
        [run_id, dedup_key],
    )
    return next(iter(found), None)


def _encoded(payload: Any) -> bytes:
    try:
        return canonical.encode(payload)
    except NotCanonical as error:
        raise InvalidInput([("/payload", str(error))]) from error


def _check_takes_mail(run_id: UUID) -> None:
    run = Run.objects.only("finished_at", "status").get(pk=run_id)
    if run.finished_at is not None:
        raise AlreadyEnded(f"The run has already {run.get_status_display().lower()}.")
    waiting = Signal.objects.filter(run_id=run_id, taken_at__isnull=True).count()
    if waiting >= limits.MAX_MAILBOX:
        raise MailboxFull(
            f"The run has {waiting} messages that it has not taken; at most"
            f" {limits.MAX_MAILBOX} are kept."
        )


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a run finds in its mailbox."""

    id: UUID
    payload: bytes


def oldest_in(run_id: UUID, name: str) -> Message | None:
    """The oldest message of that name that the run has not taken."""
    with prepared.cursor() as cursor:
        cursor.execute(
            "SELECT id, payload FROM runs_signal"
            " WHERE run_id = %s AND name = %s AND taken_at IS NULL"
            " ORDER BY sent_at, id LIMIT 1",
            [run_id, name],
        )
        row = cursor.fetchone()
    return None if row is None else Message(id=row[0], payload=bytes(row[1]))

"""The approvals that count at a gate: told by the database, counted again here."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import connection

from approvals import quorum
from approvals.models import Gate
from approvals.quorum import Voice


def voices_of(gate: Gate) -> dict[UUID, Voice]:
    """By decision: approvals of this gate's digest that are sealed, not taken back, and of
    somebody who may still decide here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT decision, human, thresholds FROM approvals_fitting(%s)", [gate.pk])
        return {
            id: Voice(human=human, thresholds=frozenset(thresholds))
            for id, human, thresholds in cursor.fetchall()
        }


def shortage_of(gate: Gate, among: Collection[UUID] | None = None) -> str:
    """What is missing at this gate, as `have/need`; empty when enough people have consented.

    `among` are the decisions that may be counted, where the caller has looked at them itself.
    """
    voices = voices_of(gate)
    counted = [voice for id, voice in voices.items() if among is None or id in among]
    return quorum.shortage(gate.needs, counted)

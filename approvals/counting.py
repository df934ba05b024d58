"""The approvals that count at a gate: told by the database, counted again here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from approvals import glasskeys, quorum, signing, typed
from approvals.models import Decision, Gate, Key, KeyRevocation
from approvals.quorum import Voice
from runs import canonical, prepared
from runs.prepared import Columns

DECISION, KEY, REVOKED = map(Columns, (Decision, Key, KeyRevocation))
HEARD = f"""
    SELECT {DECISION.of("d")}, {KEY.of("k")}, {REVOKED.of("r")}, f.human, f.thresholds, b.glass,
        b.thresholds
    FROM approvals_decision d
    LEFT JOIN approvals_key k ON k.id = d.key_id
    LEFT JOIN approvals_keyrevocation r ON r.key_id = k.id
    LEFT JOIN approvals_fitting(%(gate)s) f ON f.decision = d.id
    LEFT JOIN approvals_resting(%(gate)s) b ON b.decision = d.id
    WHERE d.gate_id = %(gate)s
"""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A decision with its key, and what the database says of it.

    `voice` is None where it does not count (see `voices_of`). `glass` is the broken glass that it
    rests on, for those of its thresholds that it fits through that alone.
    """

    decision: Decision
    voice: Voice | None
    glass: UUID | None
    through_glass: frozenset[int]


def heard_at(gate: Gate) -> list[Heard]:
    """All that people have decided at a gate, whatever it was."""
    with prepared.cursor() as cursor:
        cursor.execute(HEARD, {"gate": gate.pk})
        return [_heard(row) for row in cursor.fetchall()]


def _heard(row: tuple[Any, ...]) -> Heard:
    decision, key, revoked, human, fits, glass, only = prepared.split(row, DECISION, KEY, REVOKED)
    if key is not None:
        decision.key = key
        key._state.fields_cache["revocation"] = revoked
    return Heard(
        decision=decision,
        voice=None if human is None else Voice(human=human, thresholds=frozenset(fits)),
        glass=glass,
        through_glass=frozenset(only or ()),
    )


def voices_of(gate: Gate) -> dict[UUID, Voice]:
    """By decision: approvals of this gate's digest that are sealed, not taken back, and of
    somebody who may still decide here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT decision, human, thresholds FROM approvals_fitting(%s)", [gate.pk])
        return {
            id: Voice(human=human, thresholds=frozenset(thresholds))
            for id, human, thresholds in cursor.fetchall()
        }


def standing(decisions: Iterable[Decision]) -> int:
    """How many of these approvals were not taken back, as lists show it; whether they count for
    consent is told by `voices_of`. The decisions come with their revocations."""
    return sum(
        one.verdict == Decision.Verdict.APPROVE and not is_taken_back(one) for one in decisions
    )


def is_taken_back(decision: Decision) -> bool:
    return getattr(decision, "revocation", None) is not None


def askable(tenant: str, run_id: UUID | None, needs: dict[str, Any]) -> list[Voice]:
    """Who could decide about such needs now: for a run, without those who requested it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT human, thresholds FROM approvals_askable(%s, %s, %s)",
            [tenant, run_id, json.dumps(needs)],
        )
        return [Voice(human=human, thresholds=frozenset(fits)) for human, fits in cursor]


def shortage_of(gate: Gate) -> str:
    """What is missing at this gate, as `have/need`; empty when enough people have consented."""
    return quorum.shortage(gate.needs, list(voices_of(gate).values()))


def proven_shortage_of(
    gate: Gate, heard: Collection[Heard], among: Collection[UUID], *, at: datetime
) -> str:
    """The same of the decisions `among`, which the caller has looked at itself (`proven`).

    Where a voice rests on a broken glass, the signatures of the two who broke it are verified
    here, with keys that stood at that moment: without them it fits what it fits anyway.
    """
    glasses = {one.glass for one in heard if one.glass is not None}
    whole = {glass for glass in glasses if not glasskeys.is_proven(glass, at=at)}
    counted = [
        one.voice
        if one.glass not in whole
        else replace(one.voice, thresholds=one.voice.thresholds - one.through_glass)
        for one in heard
        if one.voice is not None and one.decision.id in among
    ]
    return quorum.shortage(gate.needs, counted)


def proven(gate: Gate, decisions: Iterable[Decision], *, digest: bytes, at: datetime) -> set[UUID]:
    """The approvals of exactly this digest that are as the gate's tier asks: typed back, and
    signed by a key of the person that stood at that moment (see `signing.why_unsigned`).

    The gatekeeper asks before it clears, the executor over the bytes that it is about to send.
    """
    told = canonical.decode(gate.envelope) if gate.tier in typed.TIERS else {}
    return {
        decision.id
        for decision in decisions
        if decision.verdict == Decision.Verdict.APPROVE
        and bytes(decision.digest) == digest
        and (gate.tier not in typed.TIERS or typed.is_typed(told, decision.typed))
        and not signing.why_unsigned(
            decision,
            tier=gate.tier,
            digest=digest,
            on_behalf_of_id=decision.on_behalf_of_id,
            typed=decision.typed,
            at=at,
            origins=settings.PLACET_ORIGINS,
        )
    }

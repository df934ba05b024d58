"""The approvals that count at a gate: told by the database, counted again here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from approvals import glasskeys, quorum, signing, typed
from approvals.models import Decision, Gate
from approvals.quorum import Voice
from runs import canonical


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


def proven_shortage_of(gate: Gate, among: Collection[UUID], *, at: datetime) -> str:
    """The same of the decisions `among`, which the caller has looked at itself (`proven`).

    Where a voice rests on a broken glass, the signatures of the two who broke it are verified
    here, with keys that stood at that moment: without them it fits what it fits anyway.
    """
    resting = _resting_on_nothing(gate, at)
    counted = [
        replace(voice, thresholds=voice.thresholds - resting.get(id, frozenset()))
        for id, voice in voices_of(gate).items()
        if id in among
    ]
    return quorum.shortage(gate.needs, counted)


def _resting_on_nothing(gate: Gate, at: datetime) -> dict[UUID, frozenset[int]]:
    """By decision: the thresholds that it fits only through a glass which nobody broke by keys."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT decision, glass, thresholds FROM approvals_resting(%s)", [gate.pk])
        rows = cursor.fetchall()
    whole = {glass for _, glass, _ in rows if not glasskeys.is_proven(glass, at=at)}
    return {id: frozenset(only) for id, glass, only in rows if glass in whole}


def proven(gate: Gate, decisions: Iterable[Decision], *, digest: bytes, at: datetime) -> set[UUID]:
    """The approvals of exactly this digest that are as the gate's tier asks: typed back, and
    signed by a key of the person that stood at that moment (see `signing.why_unsigned`).

    The gatekeeper asks before it clears, the executor over the bytes that it is about to send.
    """
    told = canonical.decode(gate.envelope)
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

"""The end of a gate and of a clearance, met to the millisecond on the database's clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from approvals import evidence, gates
from approvals.models import Clearance, ClearanceUse, Decision
from runs import effects
from runs.models import Step
from tests.approvals.attacks import (
    Attack,
    claim,
    clearing,
    forged,
    parked,
    proper_seal,
    refusal,
)
from tests.approvals.clock import clock_stands_at
from tests.harness import World, as_role
from tests.zoo import ledger

MILLISECOND = timedelta(milliseconds=1)


def done(world: World, role: str, *statements: Attack) -> None:
    with psycopg.connect(world.servers.database_url(role)) as lawful:
        for statement, values in statements:
            lawful.execute(statement, values)


def test_a_decision_counts_until_a_millisecond_before_the_end(world: World) -> None:
    gate = parked(world)
    said = forged(gate, world.bob, seal=proper_seal(gate, world.bob))
    with clock_stands_at(gate.expires_at, "approvals_guard_decision"):
        assert "decision gate: the gate is not open" in refusal(world, "placet_web", said)
    assert not Decision.objects.exists()
    with clock_stands_at(gate.expires_at - MILLISECOND, "approvals_guard_decision"):
        done(world, "placet_web", said)
    assert Decision.objects.get().decided_at == gate.expires_at - MILLISECOND


def test_lock_2_clears_until_a_millisecond_before_the_end(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    with clock_stands_at(gate.expires_at, "approvals_date_clearance"):
        answer = refusal(world, "placet_gatekeeper", *clearing(gate))
    assert "lock 2: the time of the gate is over" in answer
    with clock_stands_at(gate.expires_at - MILLISECOND, "approvals_date_clearance"):
        done(world, "placet_gatekeeper", *clearing(gate))
    assert Step.objects.get(pk=gate.step_id).status == "ready"


def test_a_clearance_is_spent_until_a_millisecond_before_its_end(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    ends_at = Clearance.objects.get(gate=gate).expires_at
    with clock_stands_at(ends_at, "approvals_spend"):
        answer = refusal(world, "placet_executor", claim(gate))
    assert "spend late: the clearance has ended" in answer
    with clock_stands_at(ends_at - MILLISECOND, "approvals_spend"), as_role("placet_executor"):
        assert effects.execute(gate.step_id)
    assert ClearanceUse.objects.get().used_at == ends_at - MILLISECOND
    assert len(ledger("paid")) == 1


@pytest.mark.parametrize(
    ("early", "status"), [(0 * MILLISECOND, "expired"), (MILLISECOND, "approved")]
)
def test_the_gatekeeper_refuses_at_the_end_what_it_clears_a_millisecond_before(
    world: World, monkeypatch: Any, early: timedelta, status: str
) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    moment = gate.expires_at - early
    read = evidence.waiting
    monkeypatch.setattr(evidence, "waiting", lambda step_id: replace(read(step_id), now=moment))
    with as_role("placet_gatekeeper"):
        gates.keep(gate.step_id)
    gate.refresh_from_db()
    assert gate.status == status

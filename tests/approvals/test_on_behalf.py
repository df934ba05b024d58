"""Voices of delegates and of those who broke the glass, from the decision to the payment."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.eligibility import principal_of, why_not
from approvals.errors import NotEligible
from approvals.models import Decision, Gate
from tests.approvals.attacks import forged, parked, proper_seal, refusal
from tests.approvals.glasses import confirmed, let_time_pass, opened
from tests.approvals.test_delegations import delegated
from tests.approvals.test_thresholds import same_address
from tests.harness import World, admin
from tests.zoo import ledger


def status(world: World, gate: Gate) -> str:
    world.settle()
    gate.refresh_from_db()
    return str(gate.status)


def on_behalf(gate: Gate, person: Any, principal: Any, seal: bytes) -> Any:
    sql, values = forged(gate, person, seal=seal)
    sql = sql.replace("decided_at, writer)", "decided_at, writer, on_behalf_of_id)")
    return sql.replace("now(), '')", "now(), '', %s)"), [*values, principal.pk]


def test_a_delegate_decides_on_behalf_of_who_is_asked(world: World) -> None:
    gate = parked(world)
    assert principal_of(gate, world.mallory) is None
    with pytest.raises(NotEligible):
        world.decide(gate, world.mallory)
    delegated(world)
    assert principal_of(gate, world.mallory) == world.bob.pk
    decision = world.decide(gate, world.mallory)
    assert decision.on_behalf_of == world.bob
    assert status(world, gate) == "approved" and len(ledger("paid")) == 1


def test_a_delegate_and_their_principal_are_one_voice(world: World) -> None:
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    (gate,) = world.gates(world.park_at_gates(1_500_000))
    delegated(world)
    world.decide(gate, world.mallory)
    attack = forged(gate, world.bob, seal=proper_seal(gate, world.bob))
    assert "decision voice: this human being has decided" in refusal(world, "placet_web", attack)
    world.decide(gate, world.carol)
    assert status(world, gate) == "approved"


def test_separation_of_duties_holds_for_both_of_them(world: World) -> None:
    delegated(world)
    (own,) = world.gates(_paid_by(world, world.mallory))
    assert "You requested this run" in why_not(own, world.mallory)
    (bobs,) = world.gates(_paid_by(world, world.bob))
    assert principal_of(bobs, world.mallory) is None, "Bob requested it, so nobody decides for him."
    same_address(world.alice, world.mallory)
    gate = parked(world)
    assert "Another account of yours" in why_not(gate, world.mallory)
    sealed = proper_seal(gate, world.mallory)
    attack = on_behalf(gate, world.mallory, world.bob, sealed)
    assert "decision requester" in refusal(world, "placet_web", attack)


def _paid_by(world: World, person: Any) -> Any:
    run = world.start("paying", by=person, amounts=[5000])
    world.settle()
    return run


def test_nobody_claims_a_delegation_that_there_is_not(world: World) -> None:
    gate = parked(world)
    attack = on_behalf(gate, world.mallory, world.bob, proper_seal(gate, world.mallory))
    assert "decision delegation: nobody has delegated" in refusal(world, "placet_web", attack)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(*attack)
    assert status(world, gate) == "open" and ledger("pay-called") == []


def test_those_who_broke_the_glass_count_and_lower_nothing(world: World) -> None:
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    (gate,) = world.gates(world.park_at_gates(1_500_000))
    assert why_not(gate, world.mallory) != ""
    confirmed(world, opened(world, by=world.mallory), world.erin)
    assert why_not(gate, world.mallory) == ""
    world.decide(gate, world.mallory)
    assert status(world, gate) == "open", "two are still two"
    world.decide(gate, world.carol)
    assert status(world, gate) == "approved" and len(ledger("paid")) == 1


def test_what_was_said_while_the_glass_was_broken_counts_after_its_hour(world: World) -> None:
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    (gate,) = world.gates(world.park_at_gates(1_500_000))
    confirmed(world, opened(world, by=world.mallory), world.erin)
    world.decide(gate, world.mallory)
    let_time_pass(1)
    assert Decision.objects.filter(gate=gate).count() == 1
    world.decide(gate, world.carol)
    assert status(world, gate) == "approved"

"""What a tier asks of an approval: a look, a typed fact, a key, a second person, time."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from approvals import decisions, typed
from approvals.envelope import envelope_of
from approvals.errors import NotTyped, SignatureRefused, TooSoon
from approvals.models import Decision, Gate, Viewing
from tests.approvals.attacks import (
    clearance,
    fact_of,
    forged,
    parked,
    parked_at,
    proper_seal,
    refusal,
)
from tests.approvals.authenticator import Passkey
from tests.approvals.enrolled import enrol, season, signed
from tests.harness import World, admin, as_role
from tests.zoo import ledger


def wait(world: World, seconds: float) -> None:
    with psycopg.connect(world.servers.database_url("placet_web")) as waiting:
        waiting.execute("SELECT pg_sleep(%s)", [seconds])


def approve(world: World, gate: Gate, person: Any, device: Passkey | None = None) -> Decision:
    given: dict[str, Any] = {"typed_fact": fact_of(gate)}
    if device is not None:
        key = enrol(person, device)
        season(key)
        given["signed"] = signed(gate, person, key, device)
    decided: Decision = world.decide(gate, person, **given)
    return decided


def test_a_request_is_looked_at_before_it_is_approved(world: World) -> None:
    world.policy(name="Slow", above_minor=1_000_000, up_to_minor=2_000_000, dwell_seconds=1)
    (gate,) = world.gates(world.park_at_gates(1_500_000))
    with pytest.raises(TooSoon, match="looked at for 1 seconds before it is approved; 1 are left"):
        world.decide(gate, world.bob)
    with as_role("placet_web"):
        decisions.look(gate, world.bob)
        decisions.look(gate, world.bob)
    assert Viewing.objects.count() == 1
    attack = forged(gate, world.bob, seal=proper_seal(gate, world.bob))
    assert "decision dwell: the request was not" in refusal(world, "placet_web", attack)
    dated = (
        "INSERT INTO approvals_viewing (tenant, gate_id, person_id, since)"
        " VALUES (%s, %s, %s, '2020-01-01')",
        [gate.tenant, gate.id, world.carol.pk],
    )
    carols = forged(gate, world.carol, seal=proper_seal(gate, world.carol))
    assert "decision dwell" in refusal(world, "placet_web", dated, carols)
    wait(world, 1.1)
    world.decide(gate, world.bob)
    world.settle()
    assert len(ledger("paid")) == 1


def test_a_denial_never_has_to_wait(world: World) -> None:
    world.policy(name="Slow", above_minor=1_000_000, up_to_minor=2_000_000, dwell_seconds=60)
    (gate,) = world.gates(world.park_at_gates(1_500_000))
    world.decide(gate, world.bob, "deny")
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "denied"


def test_the_typed_fact_is_of_this_very_request(world: World) -> None:
    gate = parked_at(world, "typed")
    told = envelope_of(gate)
    for wrong in ("", "30.050,00", "30049.99", "0000", "GB29", "yes"):
        assert not typed.is_typed(told, wrong), wrong
        with pytest.raises(NotTyped, match="Type the amount, or the last 4 characters"):
            world.decide(gate, world.bob, typed_fact=wrong)
    for right in ("30050", "30,050.00", "30050,00", "EUR 30050.00", "6810", "68 10"):
        assert typed.is_typed(told, right), right
    with pytest.raises(SignatureRefused):
        world.decide(gate, world.bob, typed_fact="30050.00")


def test_a_payment_at_the_typed_tier_leaves_by_key_and_fact(world: World) -> None:
    gate = parked_at(world, "typed")
    decision = approve(world, gate, world.bob, Passkey())
    assert decision.typed == gate.payee[-4:]
    world.settle()
    assert len(ledger("paid")) == 1


def test_a_fact_that_was_rewritten_in_the_row_counts_for_nothing(world: World) -> None:
    gate = parked_at(world, "typed")
    decision = approve(world, gate, world.bob, Passkey())
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_decision SET typed = '30050' WHERE id = %s", [decision.pk]
        )
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "open" and ledger("pay-called") == []


def test_an_unsigned_row_decides_nothing_above_the_lowest_tier(world: World) -> None:
    gate = parked_at(world, "passkey")
    attack = forged(gate, world.bob, seal=proper_seal(gate, world.bob))
    assert "decision signature: no key of this person" in refusal(world, "placet_web", attack)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(*attack)
    approve_gate = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve_gate, clearance(gate, gate.id))
    assert "lock 2: quorum 0/1" in answer
    lower = parked(world)
    with psycopg.connect(world.servers.database_url("placet_web")) as web:
        web.execute(*forged(lower, world.bob, seal=proper_seal(lower, world.bob)))


def test_the_highest_tier_takes_two_people_and_time(world: World) -> None:
    gate = parked_at(world, "critical", cooling_off_seconds=1)
    approve(world, gate, world.bob, Passkey())
    world.settle()
    gate.refresh_from_db()
    assert (gate.status, gate.clears_at) == ("open", None)
    second = approve(world, gate, world.carol, Passkey())
    world.keep_gates()
    gate.refresh_from_db()
    assert gate.clears_at is not None
    assert (gate.clears_at - second.decided_at).total_seconds() == 1
    approve_gate = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve_gate, clearance(gate, gate.id))
    assert "lock 2: cooling-off, 1 seconds from the last approval" in answer
    wait(world, 1.1)
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "approved" and len(ledger("paid")) == 1


def test_a_denial_during_the_cooling_off_ends_it(world: World) -> None:
    world.join("payments", world.mallory)
    gate = parked_at(world, "critical", cooling_off_seconds=60)
    for person in (world.bob, world.carol):
        approve(world, gate, person, Passkey())
    world.settle()
    world.decide(gate, world.mallory, "deny")
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "denied" and ledger("pay-called") == []

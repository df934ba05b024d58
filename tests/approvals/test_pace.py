"""Who approves too many requests too fast looks over them first; the database counts as well."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from approvals import pace
from approvals.decisions import decide
from approvals.errors import DecisionRefused, TooFast
from approvals.limits import RATE_APPROVALS, RATE_SECONDS
from approvals.models import Decision, Gate, Recap
from approvals.seals import seal
from runs.models import new_id
from tests.approvals.attacks import forged, parked, proper_seal, refusal
from tests.harness import World, as_role

SAID = "You approved 12 requests within 5 minutes: 6.00 EUR in all."


def approve(world: World, gate: Gate, person: Any = None, verdict: str = "approve") -> Decision:
    """As web does it, without looking anything over."""
    with as_role("placet_web"):
        return say(gate, person or world.bob, verdict)


def say(gate: Gate, person: Any, verdict: str = "approve") -> Decision:
    return decide(
        gate_id=gate.id,
        tenant=gate.tenant,
        person=person,
        verdict=verdict,
        reason="No." if verdict == "deny" else "",
        digest=bytes(gate.digest).hex(),
    )


def in_a_hurry(world: World, more: int = 2) -> list[Gate]:
    """Bob has approved as many as he may; the gates that are left."""
    gates = world.gates(world.park_at_gates(*[50] * (RATE_APPROVALS + more)))
    for gate in gates[:RATE_APPROVALS]:
        approve(world, gate)
    return gates[RATE_APPROVALS:]


def look_over(world: World, person: Any = None) -> Recap:
    with as_role("placet_web"):
        person = person or world.bob
        upto = pace.pace_of(person).approvals[0].pk
        return pace.recap(tenant=world.tenant, person=person, upto=upto)


def moved_back(seconds: float) -> None:
    """As if what was decided had been decided so much earlier."""
    with as_role("postgres"), connection.cursor() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_decision SET decided_at = decided_at - %s * interval '1 second'",
            [seconds],
        )
        superuser.execute("RESET session_replication_role")


def test_the_thirteenth_approval_in_a_hurry_says_what_was_approved_and_when_to_go_on(
    world: World,
) -> None:
    next_gate, _ = in_a_hurry(world)
    with pytest.raises(TooFast) as refused:
        approve(world, next_gate)
    first = Decision.objects.earliest("decided_at").decided_at
    free = f"{first + timedelta(seconds=RATE_SECONDS):%H:%M:%S} UTC. Nothing was recorded."
    assert str(refused.value) == f"{SAID} Look over them to go on now, or wait until {free}"
    assert not next_gate.decisions.exists()


def test_others_and_denials_are_not_held_up(world: World) -> None:
    one, two = in_a_hurry(world)
    assert approve(world, one, world.carol).verdict == "approve"
    assert approve(world, two, verdict="deny").verdict == "deny"


def test_with_time_one_goes_on_without_looking_anything_over(world: World) -> None:
    next_gate, _ = in_a_hurry(world)
    moved_back(RATE_SECONDS)
    assert approve(world, next_gate).verdict == "approve"


def test_who_has_looked_over_them_goes_on_and_is_counted_anew(world: World) -> None:
    *left, last = in_a_hurry(world, RATE_APPROVALS + 1)
    recap = look_over(world)
    assert (recap.approvals, recap.writer) == (RATE_APPROVALS, "placet_web")
    for gate in left:
        approve(world, gate)
    with pytest.raises(TooFast, match=r"You approved 12 requests within 5 minutes: 6\.00 EUR"):
        approve(world, last)


def test_nothing_is_looked_over_before_it_is_due_nor_what_was_not_shown(world: World) -> None:
    gates = world.gates(world.park_at_gates(*[50] * (RATE_APPROVALS - 1)))
    for gate in gates:
        approve(world, gate)
    with pytest.raises(DecisionRefused, match="There is nothing to be looked over"):
        look_over(world)
    last = approve(world, world.gates(world.park_at_gates(50))[0])
    shown = Decision.objects.exclude(pk=last.pk).latest("decided_at")
    with as_role("placet_web"), pytest.raises(DecisionRefused, match="You have approved more"):
        pace.recap(tenant=world.tenant, person=world.bob, upto=shown.pk)
    assert look_over(world).upto_id == last.pk


def test_the_database_keeps_the_pace_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    next_gate, _ = in_a_hurry(world)
    attack = forged(next_gate, world.bob, seal=proper_seal(next_gate, world.bob))
    said = refusal(world, "placet_web", attack)
    assert "decision pace: this person has approved 12 requests within 300 seconds" in said
    monkeypatch.setattr(pace, "check", lambda _: None)
    with pytest.raises(Exception, match="decision pace"):
        approve(world, next_gate)


def test_two_approvals_at_once_are_counted_one_after_the_other(world: World) -> None:
    for gate in world.gates(world.park_at_gates(*[50] * (RATE_APPROVALS - 1))):
        approve(world, gate)
    first, second = parked(world), parked(world)

    def elsewhere() -> Decision:
        try:
            return say(second, world.bob)
        finally:
            connection.close()

    with as_role("placet_web"), ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            say(first, world.bob)
            waits = threads.submit(elsewhere)
            with pytest.raises(TimeoutError):
                waits.result(timeout=1)
        with pytest.raises(TooFast):
            waits.result(timeout=10)


INSERT = (
    "INSERT INTO approvals_recap (id, tenant, person_id, upto_id, approvals, seal, at, writer)"
    " VALUES (%s, %s, %s, %s, 0, %s, now(), '')"
)


def test_sql_of_web_alone_looks_nothing_over_in_anybodys_name(world: World) -> None:
    in_a_hurry(world)
    id, upto = new_id(), Decision.objects.latest("decided_at").pk
    row = [id, world.tenant, world.bob.pk, upto]
    real = seal("placet/recap/v1", id, world.bob.pk, upto)
    for wrong in ([*row, b"\0" * 32], [new_id(), *row[1:], real]):
        assert "recap seal: nobody who was signed in" in refusal(
            world, "placet_web", (INSERT, wrong)
        )
    of_carol = [id, world.tenant, world.carol.pk, upto]
    sealed = seal("placet/recap/v1", id, world.carol.pk, upto)
    assert "recap decision: a person looks over their own" in refusal(
        world, "placet_web", (INSERT, [*of_carol, sealed])
    )
    with as_role("placet_web"), connection.cursor() as web:
        web.execute(INSERT, [*row, real])
    again = new_id()
    sealed = seal("placet/recap/v1", again, world.bob.pk, upto)
    assert "recap due: there is nothing to be looked over yet" in refusal(
        world, "placet_web", (INSERT, [again, *row[1:], sealed])
    )
    assert "append-only" in refusal(world, "placet_owner", ("DELETE FROM approvals_recap", []))
    for role in ("placet_worker", "placet_executor", "placet_gatekeeper"):
        assert "permission denied" in refusal(world, role, (INSERT, [*row, real]))

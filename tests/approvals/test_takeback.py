"""An approval is taken back until the step is claimed: "revoked" or "too late", never both."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from approvals.decisions import revoke, seal_revocation
from approvals.errors import GateClosed, NotEligible, ReasonRequired, TooLate
from approvals.models import ClearanceUse, Gate, Revocation
from runs import effects
from runs.models import Event, Step
from tests.approvals.attacks import claim, parked, parked_at, refusal
from tests.harness import World, admin, as_role
from tests.zoo import ledger


def take_back(world: World, gate: Gate, person: Any, reason: str = "Wrong account.") -> Revocation:
    with as_role("placet_web"):
        return revoke(gate_id=gate.id, tenant=gate.tenant, person=person, reason=reason)


def approved(world: World) -> Gate:
    """A gate that Bob approved and the gatekeeper cleared; nobody has claimed the step."""
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    gate.refresh_from_db()
    assert gate.status == "approved"
    return gate


def test_an_approval_that_was_taken_back_moves_no_money(world: World) -> None:
    gate = approved(world)
    first = take_back(world, gate, world.bob)
    assert take_back(world, gate, world.bob, "Again.").pk == first.pk
    assert "spend voices: not enough approvals" in refusal(world, "placet_executor", claim(gate))
    world.settle()
    gate.refresh_from_db()
    step = Step.objects.get(pk=gate.step_id)
    assert (gate.status, step.status) == ("revoked", "denied")
    assert step.error["message"] == "bob took the approval back: Wrong account."
    assert ledger("pay-called") == []
    assert Event.objects.filter(run=gate.run, kind="approval.revoked", actor="bob").exists()
    assert world.result(gate.run) == {
        "outcomes": ["denied: bob took the approval back: Wrong account."]
    }


def test_after_the_claim_it_is_too_late(world: World) -> None:
    gate = approved(world)
    with as_role("placet_executor"):
        assert effects.execute(gate.step_id)
    with pytest.raises(TooLate, match="Too late: the step has been claimed"):
        take_back(world, gate, world.bob)
    assert not Revocation.objects.exists() and len(ledger("paid")) == 1


def test_while_others_are_still_asked_it_is_one_voice_less(world: World) -> None:
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    (gate,) = world.gates(world.park_at_gates(1_500_000))
    world.decide(gate, world.bob)
    take_back(world, gate, world.bob)
    world.decide(gate, world.carol)
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "open" and ledger("pay-called") == []


def test_what_is_no_approval_is_not_taken_back(world: World) -> None:
    gate = approved(world)
    with pytest.raises(NotEligible, match="You have not approved this request"):
        take_back(world, gate, world.carol)
    with pytest.raises(ReasonRequired):
        take_back(world, gate, world.bob, " ")
    denied = parked(world)
    world.decide(denied, world.bob, "deny")
    world.settle()
    with pytest.raises(NotEligible):
        take_back(world, denied, world.bob)
    late = parked(world)
    world.decide(late, world.bob)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_gate SET status = 'expired' WHERE id = %s", [late.id])
    with pytest.raises(GateClosed):
        take_back(world, late, world.bob)


def forged_revocation(gate: Gate, seal: bytes, reason: str = "x") -> tuple[str, list[Any]]:
    decision = gate.decisions.get()
    return (
        "INSERT INTO approvals_revocation (decision_id, tenant, reason, seal, revoked_at, writer)"
        " VALUES (%s, %s, %s, %s, now(), '')",
        [decision.pk, gate.tenant, reason, seal],
    )


def test_nobody_takes_back_in_anothers_name(world: World) -> None:
    gate = approved(world)
    proper = seal_revocation(gate.decisions.get(), "x")
    for role in ("placet_worker", "placet_executor", "placet_gatekeeper", "placet_auditor"):
        answer = refusal(world, role, forged_revocation(gate, proper))
        assert "permission denied for table approvals_revocation" in answer
    assert "revocation seal" in refusal(world, "placet_web", forged_revocation(gate, b"x" * 32))
    empty = forged_revocation(gate, seal_revocation(gate.decisions.get(), ""), "")
    assert "revocation reason" in refusal(world, "placet_web", empty)
    for attack in ("DELETE FROM approvals_revocation", "UPDATE approvals_revocation SET reason=''"):
        assert "append-only" in refusal(world, "placet_owner", (attack, []))


@pytest.mark.parametrize("first", ["claim", "revoke"])
def test_a_claim_and_a_revocation_take_turns_and_one_of_them_wins(world: World, first: str) -> None:
    """Each waits for the other's lock on the gate; neither sees a state that is over."""
    gate = approved(world)
    taking = forged_revocation(gate, seal_revocation(gate.decisions.get(), "x"))
    attacks = {"claim": ("placet_executor", claim(gate)), "revoke": ("placet_web", taking)}
    second = "revoke" if first == "claim" else "claim"
    answers: dict[str, str] = {}

    def late() -> None:
        role, attack = attacks[second]
        with psycopg.connect(world.servers.database_url(role)) as connection:
            try:
                connection.execute(*attack)
                answers[second] = "won"
            except psycopg.Error as error:
                answers[second] = str(error)

    role, attack = attacks[first]
    with psycopg.connect(world.servers.database_url(role)) as connection:
        connection.execute(*attack)
        thread = threading.Thread(target=late)
        thread.start()
        with admin() as superuser:
            for _ in range(200):
                waiting = superuser.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                ).fetchone()
                if waiting and waiting[0]:
                    break
                superuser.execute("SELECT pg_sleep(0.02)")
            else:
                raise AssertionError("The second did not wait for the first.")
        connection.commit()
    thread.join()
    expected = {"claim": "spend voices", "revoke": "revocation late: too late"}[second]
    assert expected in answers[second]
    assert ClearanceUse.objects.exists() is (first == "claim")
    assert Revocation.objects.exists() is (first == "revoke")


def test_during_the_cooling_off_others_may_still_step_in(world: World) -> None:
    from tests.approvals.authenticator import Passkey
    from tests.approvals.test_tiers import approve

    world.join("payments", world.mallory)
    gate = parked_at(world, "critical", cooling_off_seconds=60)
    for person in (world.bob, world.carol):
        approve(world, gate, person, Passkey())
    world.settle()
    gate.refresh_from_db()
    assert gate.clears_at is not None
    take_back(world, gate, world.carol)
    world.settle()
    gate.refresh_from_db()
    assert (gate.status, gate.clears_at) == ("open", None)

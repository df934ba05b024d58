"""Opening and closing gates: who may decide, what each answer does, and what silence does."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from approvals import closing, evidence, tasks
from approvals.eligibility import why_not
from approvals.envelope import envelope_of
from approvals.errors import (
    AlreadyDecided,
    DecisionRefused,
    DigestMismatch,
    GateClosed,
    NotEligible,
    OwnRequest,
    PolicyRefused,
    ReasonRequired,
)
from approvals.models import Gate, Policy
from approvals.policies import remove_rule
from runs import canonical, holders, transitions
from runs.errors import ClaimMissed
from runs.models import Event, Step, StepClaim, new_id
from tests.harness import World, admin, as_role
from tests.zoo import ledger


def gate_of(world: World, amount: int = 5000) -> Gate:
    (gate,) = world.gates(world.park_at_gates(amount))
    return gate


def let_time_pass(gate: Gate) -> None:
    """Moves a gate's end into the past, behind the guards: the database's clock has no switch."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_gate SET expires_at = clock_timestamp() - interval '1 ms'"
            " WHERE id = %s",
            [gate.id],
        )


def test_the_envelope_says_all_that_is_consented_to(world: World) -> None:
    gate = gate_of(world)
    told = envelope_of(gate)
    assert told["money"] == {
        "amount_minor": 5000,
        "currency": "EUR",
        "exponent": 2,
        "payee": "GB29NWBK60161331926810",
        "payee_name": "",
    }
    assert told["arguments"]["reference"] == "invoice 0"
    (threshold,) = told["needs"]["consent"]["thresholds"]
    assert (told["requester"], threshold["count"], threshold["group"]) == ("alice", 1, "payments")
    assert told["rule"]["name"] == "Payments up to 10,000 euro"


def test_a_denial_ends_it_and_the_run_is_told_why(world: World) -> None:
    gate = gate_of(world)
    world.decide(gate, world.bob, "deny", "Not ours.")
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "denied"
    assert world.result(gate.run) == {"outcomes": ["denied: bob denied it: Not ours."]}
    assert ledger("pay-called") == []


def test_silence_is_refusal(world: World) -> None:
    gate = gate_of(world)
    let_time_pass(gate)
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "expired"
    assert world.result(gate.run) == {
        "outcomes": ["denied: Nobody consented in time, so it is refused."]
    }
    assert ledger("pay-called") == []


def test_an_approval_that_comes_too_late_is_refused(world: World) -> None:
    gate = gate_of(world)
    let_time_pass(gate)
    with pytest.raises(GateClosed, match="The time of this gate is over"):
        world.decide(gate, world.bob)


def test_two_people_are_needed_where_the_policy_says_two(world: World) -> None:
    world.policy(name="large", above_minor=1_000_000, up_to_minor=9_000_000, quorum=2)
    gate = gate_of(world, 2_000_000)
    world.decide(gate, world.bob)
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "open"
    assert ledger("pay-called") == []
    world.decide(gate, world.carol)
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "approved"
    assert len(ledger("paid")) == 1


def test_one_denial_outweighs_an_approval(world: World) -> None:
    world.policy(name="large", above_minor=1_000_000, up_to_minor=9_000_000, quorum=2)
    gate = gate_of(world, 2_000_000)
    world.decide(gate, world.bob)
    world.decide(gate, world.carol, "deny", "Too much.")
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "denied"
    assert ledger("pay-called") == []


def test_the_requester_may_not_decide(world: World) -> None:
    from approvals.models import Reviewer

    with as_role("placet_owner"):
        Reviewer.objects.create(tenant=world.tenant, group="payments", person=world.alice)
    gate = gate_of(world)
    assert why_not(gate, world.alice) == "You requested this run, so somebody else must decide."
    with pytest.raises(OwnRequest, match="somebody else must decide"):
        world.decide(gate, world.alice)
    world.decide(gate, world.bob)


def test_somebody_outside_the_group_may_not_decide(world: World) -> None:
    gate = gate_of(world)
    with pytest.raises(NotEligible, match="Only members of the group 'payments' decide here"):
        world.decide(gate, world.mallory)
    world.decide(gate, world.bob)


def test_a_denial_needs_a_reason_and_reasons_have_an_end(world: World) -> None:
    gate = gate_of(world)
    from approvals.decisions import decide

    def attempt(reason: str) -> None:
        with as_role("placet_web"):
            decide(
                gate_id=gate.id,
                tenant=world.tenant,
                person=world.bob,
                verdict="deny",
                reason=reason,
                digest=bytes(gate.digest).hex(),
            )

    with pytest.raises(ReasonRequired, match="A denial needs a reason"):
        attempt("  ")
    with pytest.raises(ReasonRequired, match="at most 1000 are kept"):
        attempt("x" * 1001)
    attempt("x" * 1000)


def test_a_decision_over_another_digest_is_refused(world: World) -> None:
    gate = gate_of(world)
    from approvals.decisions import decide

    with as_role("placet_web"), pytest.raises(DigestMismatch, match="What you saw is not what"):
        decide(
            gate_id=gate.id,
            tenant=world.tenant,
            person=world.bob,
            verdict="approve",
            reason="",
            digest="00" * 32,
        )


def test_the_same_verdict_again_is_the_same_decision_another_is_refused(world: World) -> None:
    gate = gate_of(world)
    first = world.decide(gate, world.bob)
    assert world.decide(gate, world.bob).pk == first.pk
    with pytest.raises(AlreadyDecided, match="one person has one vote"):
        world.decide(gate, world.bob, "deny", "Changed my mind.")


def test_a_closed_gate_takes_no_decision(world: World) -> None:
    gate = gate_of(world)
    world.decide(gate, world.bob)
    world.settle()
    with pytest.raises(DecisionRefused, match="This gate is approved; nothing is left to decide"):
        world.decide(gate, world.carol)


def test_without_a_rule_the_step_stays_held_and_says_so(world: World) -> None:
    run = world.park_at_gates(5000, currency="SEK")
    assert world.gates(run) == []
    (step,) = Step.objects.filter(run=run, is_money=True)
    assert step.status == "held"
    assert step.held_because == (
        "No rule of the policy covers pay of 50.00 SEK, so nobody may clear it."
    )


def test_an_amount_at_the_edge_of_a_band_meets_its_rule(world: World) -> None:
    assert gate_of(world, 1_000_000).amount_minor == 1_000_000
    assert world.gates(world.park_at_gates(1_000_001)) == []


def test_a_policy_published_later_opens_the_gate_of_a_held_step(world: World) -> None:
    run = world.park_at_gates(5000, currency="SEK")
    world.policy(name="crowns", currency="SEK")
    world.settle()
    assert [gate.status for gate in world.gates(run)] == ["open"]


def test_a_retired_rule_opens_no_gate_and_clears_none_before_there_is_another(
    world: World,
) -> None:
    gate = gate_of(world)
    with as_role("placet_owner"):
        remove_rule(world.tenant, "Payments up to 10,000 euro")
    assert world.gates(world.park_at_gates(6000)) == []
    world.decide(gate, world.bob)
    world.settle()
    assert ledger("pay-called") == []
    world.policy(name="Payments, as before")
    world.settle()
    assert len(ledger("paid")) == 1


def test_a_rule_that_too_few_people_can_satisfy_holds_and_says_so(world: World) -> None:
    world.policy(
        name="lonely", above_minor=1_000_000, up_to_minor=9_000_000, quorum=1, group="nobody"
    )
    run = world.park_at_gates(2_000_000)
    assert world.gates(run) == []
    (step,) = Step.objects.filter(run=run, is_money=True)
    assert "of whom 0 may decide about this request" in step.held_because


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"currency": "EUX"}, "'EUX' is not an ISO 4217 currency"),
        ({"above_minor": -1}, "The band must run from 0"),
        ({"above_minor": 5, "up_to_minor": 5}, "The band must run from 0"),
        ({"quorum": 0}, "A quorum is from 1 to 10"),
        ({"quorum": 11}, "A quorum is from 1 to 10"),
        ({"expires_after_seconds": 0}, "A gate stays open from 1 to 7776000 seconds"),
        ({"expires_after_seconds": 7_776_001}, "A gate stays open from 1 to 7776000 seconds"),
        ({"name": " "}, "A policy needs a name"),
    ],
)
def test_a_policy_that_makes_no_sense_is_not_published(
    world: World, changed: dict[str, object], sentence: str
) -> None:
    before = Policy.objects.count()
    with pytest.raises(PolicyRefused, match=sentence):
        world.policy(**changed)
    assert Policy.objects.count() == before


def test_a_clearance_that_nobody_used_in_time_lapses(world: World) -> None:
    gate = gate_of(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_clearance SET expires_at = now() - interval '1 s'")
    assert world.execute() == 0
    world.settle()
    assert world.result(gate.run) == {
        "outcomes": ["denied: It was cleared, but not started before the clearance ended."]
    }
    assert ledger("pay-called") == []


def test_cancelling_a_run_withdraws_its_gates(world: World) -> None:
    from runs.steering import request_cancel

    gate = gate_of(world)
    with as_role("placet_web"):
        assert request_cancel(run=gate.run, actor="alice")
        assert not request_cancel(run=gate.run, actor="alice")
    world.settle()
    gate.refresh_from_db()
    assert gate.status == "withdrawn"
    assert world.run_now(gate.run).status == "cancelled"
    with pytest.raises(GateClosed, match="This gate is withdrawn"):
        world.decide(gate, world.bob)
    assert ledger("pay-called") == []


def test_the_journal_tells_the_whole_story_in_order(world: World) -> None:
    gate = gate_of(world)
    world.decide(gate, world.bob)
    world.settle()
    events = Event.objects.filter(run=gate.run).order_by("seq")
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [e.kind for e in events] == [
        "run.started",
        "step.succeeded",
        "run.waiting",
        "step.held",
        "gate.opened",
        "decision.made",
        "step.cleared",
        "gate.closed",
        "step.started",
        "step.succeeded",
        "step.succeeded",
        "run.succeeded",
    ]
    assert [e.writer.removeprefix("placet_") for e in events] == [
        "web",
        "worker",
        "worker",
        "worker",
        "gatekeeper",
        "web",
        "gatekeeper",
        "gatekeeper",
        "executor",
        "executor",
        "worker",
        "worker",
    ]
    bodies = [bytes(e.body) for e in events]
    assert [canonical.encode(canonical.decode(body)) for body in bodies] == bodies
    step, claim = Step.objects.get(pk=gate.step_id), StepClaim.objects.get(step=gate.step_id)
    told = canonical.decode(bodies[8])
    who = {"attempt": step.attempt, "fence": claim.fence, "holder": holders.me(), "key": step.key}
    assert told == who


def test_a_step_that_is_not_held_is_not_cleared(world: World) -> None:
    gate = gate_of(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    count = Event.objects.filter(run=gate.run).count()
    with as_role("placet_gatekeeper"), pytest.raises(ClaimMissed), transaction.atomic():
        transitions.clear(gate.step_id, new_id(), actor="gatekeeper")
    assert Event.objects.filter(run=gate.run).count() == count


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_a_gate_that_is_closed_already_is_not_closed_again_by_who_saw_it_open(
    world: World, verdict: str
) -> None:
    gate = gate_of(world)
    world.decide(gate, world.bob, verdict)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_gate SET status = 'withdrawn', closed_at = now()")
    seen = evidence.waiting(gate.step_id)
    with as_role("placet_gatekeeper"), pytest.raises(ClaimMissed, match="is closed already"):
        with transaction.atomic():
            closing.close(gate, seen)
    assert world.gates(gate.run)[0].status == "withdrawn"
    assert Step.objects.get(pk=gate.step_id).status == "held"


def test_what_another_tenant_has_is_not_there(world: World) -> None:
    from approvals.decisions import decide

    gate = gate_of(world)
    with as_role("placet_web"), pytest.raises(Gate.DoesNotExist):
        decide(
            gate_id=gate.id,
            tenant="another",
            person=world.bob,
            verdict="approve",
            reason="",
            digest=bytes(gate.digest).hex(),
        )


def test_a_gate_that_only_waits_for_more_people_is_not_looked_at_by_every_sweep(
    world: World,
) -> None:
    """Else two thousand of those keep the gatekeeper from what is due."""
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    gate = world.gates(world.park_at_gates(1_500_000))[0]
    world.decide(gate, world.bob)

    def looked_at() -> bool:
        with as_role("placet_gatekeeper"), CaptureQueriesContext(connection) as captured:
            tasks.LostGates().sweep()
        told = [one["sql"].replace("-", "") for one in captured.captured_queries]
        return any(gate.step_id.hex in statement for statement in told)

    assert not looked_at()
    world.decide(gate, world.carol)
    assert looked_at()
    assert Gate.objects.get(pk=gate.pk).status == "approved"


def test_a_lost_hint_of_the_first_of_two_who_denies_is_found(world: World) -> None:
    world.policy(name="Two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    gate = world.gates(world.park_at_gates(1_500_000))[0]
    world.decide(gate, world.bob, "deny", "Not ours.")

    with as_role("placet_gatekeeper"):
        assert tasks.LostGates().sweep() == 1

    assert Gate.objects.get(pk=gate.pk).status == "denied"

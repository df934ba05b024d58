"""Who has to consent: thresholds, distinct human beings, and since when they belong."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as some

from approvals import counting, quorum
from approvals.eligibility import is_asked, is_live, why_not
from approvals.errors import NotEligible, OwnRequest
from approvals.models import Decision, Gate, Reviewer
from approvals.quorum import Voice
from approvals.rules.faults import InvalidPolicy
from console.models import User
from runs.models import Step
from tests.approvals.attacks import clearance, forged, proper_seal, refusal
from tests.harness import World, admin, as_role
from tests.zoo import ledger


def rule(*thresholds: dict[str, Any], mode: str = "all", **more: Any) -> dict[str, Any]:
    asked = [{"name": f"t{no}", **one} for no, one in enumerate(thresholds)]
    consent = {"mode": mode, "thresholds": asked, **more}
    return {"name": "asked", "when": {"tool": "pay"}, "then": {"consent": consent}}


def gate_of(world: World, *thresholds: dict[str, Any], **more: Any) -> Gate:
    world.publish(rule(*thresholds, **more))
    (gate,) = world.gates(world.park_at_gates(5000))
    return gate


def status(gate: Gate, world: World) -> str:
    world.settle()
    gate.refresh_from_db()
    return str(gate.status)


def test_a_voice_that_turns_out_to_be_the_requesters_counts_no_more(world: World) -> None:
    gate = gate_of(world, {"group": "payments", "count": 1})
    world.decide(gate, world.bob)
    assert counting.shortage_of(gate) == ""
    with as_role("postgres"):
        both = User.objects.filter(pk__in=[world.alice.pk, world.bob.pk])
        both.update(email="one@example.org")
    assert counting.shortage_of(gate) == "0/1"
    assert status(gate, world) == "open"
    approve = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve, clearance(gate, gate.id))
    assert "lock 2: quorum 0/1" in answer


def test_all_thresholds_need_distinct_people(world: World) -> None:
    world.join("legal", world.carol)
    gate = gate_of(world, {"group": "payments", "count": 1}, {"group": "legal", "count": 1})
    assert (gate.quorum, gate.group) == (2, "payments and legal")
    world.decide(gate, world.carol)
    assert status(gate, world) == "open", "Carol is in both groups, and one person all the same."
    assert counting.shortage_of(gate) == "1/2"
    approve = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve, clearance(gate, gate.id))
    assert "lock 2: quorum 1/2" in answer
    world.decide(gate, world.bob)
    assert status(gate, world) == "approved" and len(ledger("paid")) == 1


def test_people_are_matched_to_thresholds_whatever_the_order(world: World) -> None:
    """Bob fits one threshold and Carol both: she is counted where he cannot be."""
    world.join("legal", world.carol, world.mallory)
    gate = gate_of(world, {"group": "payments", "count": 1}, {"group": "legal", "count": 2})
    for person in (world.carol, world.mallory):
        world.decide(gate, person)
    assert status(gate, world) == "open"
    world.decide(gate, world.bob)
    assert status(gate, world) == "approved"


def test_any_threshold_is_enough_by_itself(world: World) -> None:
    world.join("directors", world.mallory)
    asked = ({"group": "payments", "count": 2}, {"group": "directors", "count": 1})
    gate = gate_of(world, *asked, mode="any")
    world.decide(gate, world.bob)
    assert status(gate, world) == "open"
    world.decide(gate, world.mallory)
    assert status(gate, world) == "approved"


def test_a_role_may_be_asked_instead_of_a_group(world: World) -> None:
    gate = gate_of(world, {"role": "reviewer", "count": 1})
    assert why_not(gate, world.erin) == "Only members of the role 'reviewer' decide here."
    assert Gate.objects.filter(is_live() & is_asked(world.mallory)).get() == gate
    world.decide(gate, world.mallory)
    assert status(gate, world) == "approved"


def test_a_role_whose_people_do_not_decide_is_not_asked(world: World) -> None:
    with pytest.raises(InvalidPolicy, match="Of the roles only reviewer decides") as refused:
        world.publish(rule({"role": "admin", "count": 1}))
    assert "/rules/0/then/consent/thresholds/0/role" in str(refused.value)


def test_who_joined_after_the_request_does_not_count(world: World) -> None:
    gate = gate_of(world, {"group": "payments", "count": 1})
    world.join("payments", world.mallory)
    assert why_not(gate, world.mallory).endswith(
        "You joined after this request was made, so you do not count here."
    )
    assert not Gate.objects.filter(is_live() & is_asked(world.mallory)).exists()
    with pytest.raises(NotEligible):
        world.decide(gate, world.mallory)
    seal = proper_seal(gate, world.mallory)
    attack = forged(gate, world.mallory, seal=seal)
    assert "decision eligibility: the gate does not ask" in refusal(world, "placet_web", attack)
    later = world.gates(world.park_at_gates(6000))[0]
    assert why_not(later, world.mallory) == ""


def test_a_rule_may_ask_how_long_somebody_has_been_a_member(world: World) -> None:
    world.publish(rule({"group": "payments", "count": 1, "member_for_seconds": 3600}))
    run = world.park_at_gates(5000)
    assert world.gates(run) == []
    held = Step.objects.get(run=run, status="held")
    assert "asks for 1 of the group 'payments', of whom 0 may decide" in held.held_because
    with as_role("placet_owner"):
        Reviewer.objects.filter(person=world.bob).update(since=held.created_at - timedelta(hours=2))
    world.settle()
    (gate,) = world.gates(run)
    assert why_not(gate, world.bob) == "" and why_not(gate, world.carol) != ""


def same_address(*people: User) -> None:
    with as_role("placet_owner"):
        for person, address in zip(people, ("Al@Example.org", " al@example.org"), strict=True):
            User.objects.filter(pk=person.pk).update(email=address)
            person.refresh_from_db()


def test_a_second_account_of_the_requester_is_the_requester(world: World) -> None:
    gate = gate_of(world, {"group": "payments", "count": 1})
    same_address(world.alice, world.bob)
    assert why_not(gate, world.bob) == (
        "Another account of yours requested this run, so somebody else must decide."
    )
    with pytest.raises((NotEligible, OwnRequest)):
        world.decide(gate, world.bob)
    attack = forged(gate, world.bob, seal=proper_seal(gate, world.bob))
    assert "decision requester: who requested" in refusal(world, "placet_web", attack)
    world.decide(gate, world.carol)
    assert status(gate, world) == "approved"


def test_two_accounts_of_one_human_being_have_one_voice(world: World) -> None:
    gate = gate_of(world, {"group": "payments", "count": 2})
    world.decide(gate, world.bob)
    same_address(world.bob, world.carol)
    attack = forged(gate, world.carol, seal=proper_seal(gate, world.carol))
    assert "decision voice: this human being has decided" in refusal(world, "placet_web", attack)
    # Had both voices been in before, they would count as one.
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(*attack)
    assert Decision.objects.filter(gate=gate).count() == 2
    assert status(gate, world) == "open" and counting.shortage_of(gate) == "1/2"


def test_escalation_widens_who_may_decide_and_lowers_nothing(world: World) -> None:
    world.join("directors", world.mallory)
    gate = gate_of(
        world,
        {"group": "payments", "count": 2},
        escalation={"after_seconds": 1, "groups": ["directors"]},
    )
    assert "Only members of the group 'payments'" in why_not(gate, world.mallory)
    world.decide(gate, world.bob)
    with psycopg.connect(world.servers.database_url("placet_web")) as waiting:
        waiting.execute("SELECT pg_sleep(1.1)")
    assert why_not(gate, world.mallory) == ""
    assert Gate.objects.filter(is_live() & is_asked(world.mallory)).exists()
    assert status(gate, world) == "open", "one of two, still"
    world.decide(gate, world.mallory)
    assert status(gate, world) == "approved"


def matched(counts: list[int], voices: list[set[int]]) -> bool:
    """By trying: a seat for each that a threshold asks for, a person in each."""
    seats = [index for index, count in enumerate(counts) for _ in range(count)]
    return any(
        all(seat in fits for seat, fits in zip(seats, row, strict=True))
        for row in permutations(voices, len(seats))
    )


@given(
    some.lists(some.integers(1, 2), min_size=1, max_size=3),
    some.lists(some.sets(some.integers(0, 2), max_size=3), max_size=6),
)
def test_enough_people_are_those_who_can_be_seated(counts: list[int], fits: list[set[int]]) -> None:
    needs = {"consent": {"mode": "all", "thresholds": [{"count": count} for count in counts]}}
    voices = [Voice(human=str(no), thresholds=frozenset(one)) for no, one in enumerate(fits)]
    assert (quorum.shortage(needs, voices) == "") is matched(counts, fits)


def test_the_database_and_the_executor_count_alike(world: World) -> None:
    world.join("legal", world.carol, world.mallory)
    gate = gate_of(world, {"group": "payments", "count": 2}, {"group": "legal", "count": 1})
    for person in (world.bob, world.carol):
        world.decide(gate, person)
        with admin() as superuser:
            found = superuser.execute(
                "SELECT approvals_shortage(g) FROM approvals_gate g WHERE id = %s", [gate.id]
            ).fetchone()
        assert found is not None
        assert found[0] == f"quorum {counting.shortage_of(gate)}"

"""POST gates/decisions, GET batches/{id}; and the recap after a too-fast."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.batches import digest_of
from approvals.envelope import phrase
from approvals.limits import MAX_BATCH
from approvals.models import Batch, Decision, Gate, Recap
from console import deeds
from console.models import AuditEntry, IdempotentRequest
from tests.api import callers
from tests.approvals.attacks import parked_at
from tests.approvals.test_batches import parked
from tests.approvals.test_pace import approve, in_a_hurry
from tests.harness import World
from tests.zoo import ledger

PATH = "gates/decisions"


@pytest.fixture
def bob(world: World) -> callers.Caller:
    return callers.with_token(world.bob)


def body(*gates: Gate, **changed: Any) -> dict[str, Any]:
    requests = [{"gate": str(gate.pk), "digest": bytes(gate.digest).hex()} for gate in gates]
    return {"requests": requests, "verdict": "approve"} | changed


def test_several_are_decided_with_one_call_and_each_is_told(
    world: World, bob: callers.Caller
) -> None:
    gates = parked(world, 3)
    answer = bob.post(PATH, body(*gates, reason="They fit."))
    told = answer.json()
    assert answer.status_code == 201, answer.content
    listed = digest_of(gate.digest for gate in gates)
    assert (told["digest"], told["phrase"]) == (listed.hex(), phrase(listed))
    assert [one["gate_id"] for one in told["results"]] == [str(gate.pk) for gate in gates]
    assert {one["decision"]["batch_id"] for one in told["results"]} == {told["id"]}
    assert {one["problem"] for one in told["results"]} == {""}
    world.settle()
    assert len(ledger("paid")) == 3
    shown = bob.get(f"batches/{told['id']}").json()
    by_gate = {one["gate_id"]: one for one in told["results"]}
    assert {one["gate_id"]: one for one in shown.pop("results")} == by_gate
    assert shown == {name: value for name, value in told.items() if name != "results"}
    assert AuditEntry.objects.get(action="batch_confirmed").subject == "3 requests: approve"


def test_one_that_is_gone_is_told_with_its_problem_and_the_others_are_decided(
    world: World, bob: callers.Caller
) -> None:
    gone, left = parked(world, 2)
    world.decide(gone, world.carol, "deny", "A copy.")
    world.settle()
    first, second = bob.post(PATH, body(gone, left)).json()["results"]
    assert (first["decision"], first["problem"]) == (None, "gate-closed")
    assert first["detail"] == "This gate is denied; nothing is left to decide."
    assert (second["decision"]["verdict"], second["problem"]) == ("approve", "")


def test_the_same_call_again_changes_nothing_and_one_that_broke_off_goes_on(
    world: World, bob: callers.Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = parked(world, 2)
    sound, seen = deeds.decide_at_gate, []

    def breaks(*args: Any, **given: Any) -> Decision:
        if seen:
            raise RuntimeError("the process ended here")
        seen.append(args)
        return sound(*args, **given)

    with monkeypatch.context() as patch:
        patch.setattr(deeds, "decide_at_gate", breaks)
        assert bob.post(PATH, body(first, second), Idempotency_Key="k").status_code == 500
    assert Decision.objects.get().gate == first
    again = bob.post(PATH, body(first, second), Idempotency_Key="k")
    assert again.status_code == 201
    assert Batch.objects.get().decisions.count() == 2
    before = callers.written()
    replayed = bob.post(PATH, body(first, second), Idempotency_Key="k")
    assert (replayed.content, replayed.headers["Idempotent-Replayed"]) == (again.content, "true")
    other = bob.post(PATH, body(first), Idempotency_Key="k")
    assert callers.problem(other)[0] == 422
    assert callers.written() == before
    IdempotentRequest.objects.all().delete()
    assert (
        bob.post(PATH, body(first, second), Idempotency_Key="k").json()["id"]
        == (again.json()["id"])
    )


def test_what_cannot_be_decided_at_once_is_refused_as_a_whole(
    world: World, bob: callers.Caller
) -> None:
    gates, high = parked(world, MAX_BATCH + 1), parked_at(world, "passkey")
    wrong: list[tuple[dict[str, Any], tuple[int, str], str]] = [
        (body(gates[0], high), (409, "batch-refused"), "The payment of 20,050.00 EUR"),
        (body(*gates), (409, "batch-refused"), "At most 10 requests are decided at once"),
        (body(), (409, "batch-refused"), "No request was selected"),
        (body(gates[0], gates[0]), (409, "batch-refused"), "A request stands in the list twice"),
        (body(gates[0], verdict="deny"), (422, "reason-required"), "A denial needs a reason"),
        (body(gates[0], verdict="changes"), (422, "invalid-request"), "The request has fields"),
        (
            body(requests=[{"gate": str(gates[0].pk), "digest": "0" * 64}]),
            (409, "digest-mismatch"),
            "What you saw of the payment of 0.50 EUR to GB29",
        ),
    ]
    before = callers.written()
    for sent, refusal, said in wrong:
        answer = bob.post(PATH, sent, Idempotency_Key="k")
        assert callers.problem(answer) == refusal, answer.content
        assert answer.json()["detail"].startswith(said)
        assert callers.written() == before
    assert bob.post(PATH, body(gates[0]), Idempotency_Key="k").status_code == 201


def test_a_batch_of_another_tenant_is_one_that_is_not_there(
    world: World, bob: callers.Caller
) -> None:
    told = bob.post(PATH, body(*parked(world, 1))).json()
    stranger = callers.with_token(
        callers.make_person("olivia", "reviewer", "auditor", tenant="elsewhere")
    )
    theirs, absent = (stranger.get(f"batches/{id}") for id in (told["id"], callers.ABSENT))
    assert callers.problem(theirs) == callers.problem(absent) == (404, "not-found")
    assert theirs.content == absent.content


def test_who_is_too_fast_looks_over_what_they_approved_and_goes_on(
    world: World, bob: callers.Caller
) -> None:
    left = in_a_hurry(world)
    refused = bob.post(PATH, body(*left))
    assert callers.problem(refused) == (409, "too-fast")
    assert "You approved 12 requests within 5 minutes: 6.00 EUR" in refused.json()["detail"]
    pace = bob.get("pace").json()
    assert (pace["sums"], pace["left"], len(pace["approvals"])) == ({"EUR": 600}, 0, 12)
    assert pace["upto"] == pace["approvals"][0]["decision_id"]
    stale = bob.post("recap", {"upto": pace["approvals"][1]["decision_id"]})
    assert callers.problem(stale) == (409, "decision-refused")
    assert "You have approved more since" in stale.json()["detail"]
    first = bob.post("recap", {"upto": pace["upto"]}, Idempotency_Key="r")
    again = bob.post("recap", {"upto": pace["upto"]}, Idempotency_Key="r")
    assert first.status_code == 201 and first.content == again.content
    assert (first.json()["approvals"], Recap.objects.get().writer) == (12, "placet_web")
    assert AuditEntry.objects.get(action="approvals_looked_over").subject == "12 approvals"
    assert bob.post(PATH, body(*left)).status_code == 201
    after = bob.get("pace").json()
    assert (after["left"], after["upto"], after["free_at"]) == (10, None, None)


def test_a_recap_that_is_not_due_is_refused(world: World, bob: callers.Caller) -> None:
    decision = approve(world, parked(world, 1)[0])
    answer = bob.post("recap", {"upto": str(decision.pk)})
    assert callers.problem(answer) == (409, "decision-refused")
    assert answer.json()["detail"] == "There is nothing to be looked over: you can approve."
    assert not Recap.objects.exists()

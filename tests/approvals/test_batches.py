"""Several requests of the lowest tier decided at once: what a confirmation covers, and no more."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from approvals import batches, pace
from approvals.batches import Item
from approvals.decisions import decide
from approvals.errors import BatchRefused, DigestMismatch, ReasonRequired, TooFast
from approvals.limits import MAX_BATCH, RATE_APPROVALS, RATE_SECONDS
from approvals.models import Batch, Decision, Gate
from approvals.seals import seal, words
from runs.models import new_id
from tests.approvals.attacks import PROCESSES, Attack, parked_at, proper_seal, refusal
from tests.approvals.test_pace import approve, moved_back
from tests.harness import World, as_role
from tests.pages.visitors import make_person
from tests.zoo import ledger


def parked(world: World, count: int) -> list[Gate]:
    return world.gates(world.park_at_gates(*[50] * count))


def items(*gates: Gate) -> list[Item]:
    return [Item(gate_id=gate.pk, digest=bytes(gate.digest).hex()) for gate in gates]


def begin(world: World, *gates: Gate, **changed: Any) -> Batch:
    """Bob confirms the list, as web does it."""
    told: dict[str, Any] = {
        "id": new_id(),
        "tenant": world.tenant,
        "person": world.bob,
        "verdict": "approve",
        "reason": "",
        "items": items(*gates),
    }
    with as_role("placet_web"):
        batch, _ = batches.begin(**(told | changed))
    batch.refresh_from_db()
    return batch


def decide_in(batch: Batch, gate: Gate, person: Any = None) -> Decision:
    with as_role("placet_web"):
        return decide(
            gate_id=gate.pk,
            tenant=gate.tenant,
            person=person or batch.person,
            verdict=batch.verdict,
            reason=batch.reason,
            digest=bytes(gate.digest).hex(),
            batch=batch,
        )


# What is confirmed


def test_each_request_of_a_batch_has_a_decision_of_its_own_that_pays(world: World) -> None:
    gates = parked(world, 3)
    batch = begin(world, *gates)
    for gate in gates:
        decide_in(batch, gate)
    world.settle()
    assert len(ledger("paid")) == 3
    assert {d.batch_id for d in Decision.objects.all()} == {batch.pk}
    assert (batch.size, batch.writer) == (3, "placet_web")


def test_the_digest_of_a_list_says_how_many_and_which_in_any_order(world: World) -> None:
    one, two = b"\1" * 32, b"\2" * 32
    told = b"placet/batch/v1\0" + b"\0\0\0\2" + b"\0\0\0\x20" + one + b"\0\0\0\x20" + two
    assert batches.digest_of([two, one]) == hashlib.sha256(told).digest()
    assert batches.digest_of([one]) != batches.digest_of([one, one])
    with connection.cursor() as owner:
        owner.execute("SELECT approvals_digest_of_list(%s)", [[two, one]])
        assert owner.fetchone() == (batches.digest_of([one, two]),)
    gates = parked(world, 2)
    batch = begin(world, *gates)
    assert bytes(batch.digest) == batches.digest_of([bytes(gate.digest) for gate in gates])


def test_one_of_a_batch_that_somebody_denied_meanwhile_takes_nothing_from_the_others(
    world: World,
) -> None:
    first, second = parked(world, 2)
    batch = begin(world, first, second)
    world.decide(first, world.carol, "deny", "A copy.")
    decide_in(batch, second)
    world.settle()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("denied", "approved")


def test_the_same_confirmation_again_is_the_one_that_stands_and_another_is_refused(
    world: World,
) -> None:
    first, second, third = parked(world, 3)
    id = new_id()
    batch = begin(world, first, second, id=id)
    assert begin(world, second, first, id=id).made_at == batch.made_at
    others: list[dict[str, Any]] = [
        {"items": items(first)},
        {"items": items(first, third)},
        {"person": world.carol},
        {"verdict": "deny", "reason": "No."},
        {"reason": "Other words."},
    ]
    for other in others:
        with pytest.raises(BatchRefused, match="This confirmation was used for another list"):
            begin(world, first, second, **({"id": id} | other))
    assert Batch.objects.count() == 1


# What is refused in a sentence, before anything is recorded


def test_a_request_of_a_higher_tier_is_refused_by_its_name(world: World) -> None:
    low, high = *parked(world, 1), parked_at(world, "passkey")
    said = (
        "The payment of 20,050.00 EUR to GB29NWBK60161331926810 asks for more than a confirmation"
    )
    with pytest.raises(BatchRefused) as refused:
        begin(world, low, high)
    assert str(refused.value) == f"{said}, so it is decided by itself. Nothing was recorded."
    assert not Batch.objects.exists()
    assert begin(world, low).size == 1


@pytest.mark.parametrize("count", [0, MAX_BATCH + 1])
def test_a_list_that_is_empty_or_too_long_is_refused(world: World, count: int) -> None:
    gates = parked(world, MAX_BATCH + 1)
    said = "At most 10 requests are decided at once, and these are 11." if count else "No request"
    with pytest.raises(BatchRefused, match=said):
        begin(world, *gates[:count])
    assert begin(world, *gates[:MAX_BATCH]).size == MAX_BATCH


def test_what_cannot_be_a_list_is_refused(world: World) -> None:
    (gate,) = parked(world, 1)
    with pytest.raises(BatchRefused, match="stands in the list twice"):
        begin(world, gate, gate)
    with pytest.raises(BatchRefused, match="One of these requests is not there"):
        begin(world, items=[Item(gate_id=new_id(), digest="0" * 64)])
    with pytest.raises(DigestMismatch, match=r"What you saw of the payment of 0\.50 EUR to GB29"):
        begin(world, items=[Item(gate_id=gate.pk, digest="0" * 64)])
    with pytest.raises(BatchRefused, match="ask for changes at each"):
        begin(world, gate, verdict="changes", reason="Half of it.")
    with pytest.raises(ReasonRequired, match="A denial needs a reason"):
        begin(world, gate, verdict="deny", reason="  ")
    with pytest.raises(ReasonRequired, match="The reason is 1001 characters"):
        begin(world, gate, reason="a" * 1001)
    assert not Batch.objects.exists()
    assert begin(world, gate, verdict="deny", reason=" A copy. ").reason == "A copy."


# The pace


def test_a_batch_that_would_be_too_fast_is_refused_before_anything_is_recorded(
    world: World,
) -> None:
    gates = parked(world, 3 + MAX_BATCH)
    for gate in gates[:3]:
        approve(world, gate)
    with pytest.raises(TooFast) as refused:
        begin(world, *gates[3:])
    at = Decision.objects.earliest("decided_at").decided_at
    free = f"{at + pace.WINDOW:%H:%M:%S} UTC. Nothing was recorded."
    said = "You approved 3 requests within 5 minutes: 1.50 EUR in all."
    assert str(refused.value) == f"{said} Select 9 at most to go on now, or wait until {free}"
    assert not Batch.objects.exists()
    assert begin(world, *gates[3:12]).size == 9
    assert begin(world, *gates[3:], verdict="deny", reason="Copies.").size == MAX_BATCH


def test_who_has_approved_a_dozen_is_led_to_look_over_them(world: World) -> None:
    gates = parked(world, RATE_APPROVALS + 2)
    for gate in gates[:RATE_APPROVALS]:
        approve(world, gate)
    left = gates[RATE_APPROVALS:]
    with pytest.raises(TooFast, match=r"You approved 12 .* Look over them to go on now, or wait"):
        begin(world, *left)
    moved_back(RATE_SECONDS)
    assert begin(world, *left).size == 2


def test_a_batch_that_was_confirmed_goes_on_however_often_it_is_repeated(world: World) -> None:
    gates = parked(world, MAX_BATCH)
    id = new_id()
    batch = begin(world, *gates, id=id)
    for gate in gates:
        decide_in(batch, gate)
    assert begin(world, *gates, id=id).pk == batch.pk


# The locks in the database

BATCH = (
    "INSERT INTO approvals_batch (id, tenant, person_id, verdict, reason, digests, gates, digest,"
    " seal, made_at, writer) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, now(), '')"
)
DECISION = (
    "INSERT INTO approvals_decision (id, tenant, gate_id, person_id, verdict, reason, digest,"
    " method, seal, decided_at, writer, batch_id)"
    " VALUES (%s, %s, %s, %s, %s, 'forged', %s, 'confirm', %s, now(), '', %s)"
)


def forged_batch(world: World, *gates: Gate, **changed: Any) -> Attack:
    """A batch that is right in everything, but for what is changed; sealed as it then is."""
    listed = sorted(gates, key=lambda gate: bytes(gate.digest))
    told: dict[str, Any] = {
        "id": new_id(),
        "tenant": world.tenant,
        "person": world.bob.pk,
        "verdict": "approve",
        "reason": "forged",
        "digests": [bytes(gate.digest) for gate in listed],
        "gates": [gate.pk for gate in listed],
    } | {name: value for name, value in changed.items() if name not in ("digest", "seal")}
    digest = changed.get("digest", batches.digest_of(told["digests"]))
    parts = (told["id"], told["person"], told["verdict"], words(told["reason"]))
    proper = seal("placet/batch/v1", *parts, digest=digest)
    return BATCH, [*told.values(), digest, changed.get("seal", proper)]


def run_as(role: str, attack: Attack) -> None:
    with as_role(role), connection.cursor() as cursor:
        cursor.execute(*attack)


def forged_in(batch: UUID, gate: Gate, person: Any, verdict: str = "approve") -> Attack:
    """A decision that is sealed as it must be, and names a batch."""
    return DECISION, [
        *(new_id(), gate.tenant, gate.pk, person.pk, verdict, bytes(gate.digest)),
        *(proper_seal(gate, person, verdict), batch),
    ]


def test_a_batch_that_nobody_confirmed_is_not_taken_from_any_process(world: World) -> None:
    first, second = parked(world, 2)
    olivia = make_person("olivia", "reviewer", tenant="elsewhere")
    wrong = [
        ({"seal": b"\0" * 32}, "batch seal: nobody who was signed in confirmed this list"),
        ({"digest": b"\0" * 32}, "batch digest: this is not the digest of the list"),
        ({"person": olivia.pk}, "batch person: nobody active of this tenant"),
        ({"verdict": "deny", "reason": ""}, "batch reason: a denial needs a reason"),
        ({"verdict": "changes"}, "approvals_batch_verdict"),
    ]
    for changed, said in wrong:
        attack = forged_batch(world, first, second, **changed)
        assert said in refusal(world, "placet_web", attack)
    _, real = forged_batch(world, first, second)
    for name, other in ((2, world.carol.pk), (3, "deny"), (4, "Other words.")):
        values = [other if at == name else value for at, value in enumerate(real)]
        assert "batch seal" in refusal(world, "placet_web", (BATCH, values))
    for role in (*PROCESSES[1:], "placet_gatekeeper", "placet_auditor"):
        assert "permission denied" in refusal(world, role, (BATCH, real))
    run_as("placet_web", (BATCH, real))
    assert "append-only" in refusal(
        world, "placet_owner", ("UPDATE approvals_batch SET verdict = 'deny'", [])
    )


def test_the_database_takes_only_lists_of_gates_of_the_lowest_tier(world: World) -> None:
    gates, high = parked(world, MAX_BATCH + 1), parked_at(world, "passkey")
    first, second = sorted(gates[:2], key=lambda gate: bytes(gate.digest))
    pair = [bytes(first.digest), bytes(second.digest)]
    wrong = [
        (forged_batch(world, first, high), "batch tier: only requests of the lowest tier"),
        (forged_batch(world, *gates), "batch size: from 1 to 10 requests are decided at once"),
        (forged_batch(world), "batch size"),
        (forged_batch(world, first, gates=[]), "batch size"),
        (forged_batch(world, digests=pair[::-1], gates=[second.pk, first.pk]), "batch list: each"),
        (forged_batch(world, digests=[pair[0]] * 2, gates=[first.pk] * 2), "batch list: each"),
        (forged_batch(world, digests=pair, gates=[second.pk, first.pk]), "batch list: no gate"),
        (forged_batch(world, first, tenant="elsewhere"), "batch person"),
    ]
    for attack, said in wrong:
        assert said in refusal(world, "placet_web", attack)
    run_as("placet_web", forged_batch(world, *gates[:MAX_BATCH]))


def test_the_database_keeps_the_pace_of_batches_itself(world: World) -> None:
    gates = parked(world, 3 + MAX_BATCH)
    for gate in gates[:3]:
        approve(world, gate)
    said = refusal(world, "placet_web", forged_batch(world, *gates[3:]))
    assert "batch pace: with these the person would have approved more than 12" in said
    run_as("placet_web", forged_batch(world, *gates[3:12]))


def test_a_decision_names_only_a_batch_in_which_it_stands(world: World) -> None:
    first, second, outside = parked(world, 3)
    attack = forged_batch(world, first, second)
    batch = attack[1][0]
    run_as("placet_web", attack)
    wrong = [
        (forged_in(batch, outside, world.bob), "this request does not stand in the list"),
        (forged_in(new_id(), first, world.bob), "this request does not stand in the list"),
        (forged_in(batch, first, world.carol), "somebody else confirmed the list"),
        (forged_in(batch, first, world.bob, "deny"), "the list was confirmed with another verdict"),
    ]
    for decision, said in wrong:
        assert f"decision batch: {said}" in refusal(world, "placet_web", decision)
    other = forged_batch(world, first, reason="Other words.")
    run_as("placet_web", other)
    said = refusal(world, "placet_web", forged_in(other[1][0], first, world.bob))
    assert "decision batch: the list was confirmed with another verdict or reason" in said
    run_as("placet_web", forged_in(batch, first, world.bob))


def test_a_decision_of_a_higher_tier_names_no_batch_even_where_one_lists_it(world: World) -> None:
    low, high = *parked(world, 1), parked_at(world, "passkey")
    attack = forged_batch(world, low, high)
    with as_role("postgres"), connection.cursor() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(*attack)
        superuser.execute("RESET session_replication_role")
    batch = attack[1][0]
    said = "decision batch: only requests of the lowest tier are decided at once"
    assert said in refusal(world, "placet_web", forged_in(batch, high, world.bob))
    run_as("placet_web", forged_in(batch, low, world.bob))


def test_a_batch_gives_nobody_a_voice(world: World) -> None:
    (gate,) = parked(world, 1)
    batch = begin(world, gate, person=world.mallory)
    with pytest.raises(Exception, match="Only members of the group 'payments' decide here"):
        decide_in(batch, gate)
    said = refusal(world, "placet_web", _without_seal(batch, gate))
    assert "decision eligibility" in said
    assert not Decision.objects.exists()


def _without_seal(batch: Batch, gate: Gate) -> Attack:
    statement, values = forged_in(batch.pk, gate, batch.person)
    return statement.replace("'forged'", "''"), values

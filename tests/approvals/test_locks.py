"""The locks, attacked by SQL with the rights of each process. Each refusal is asserted by name,
and each attack has a twin that shows the same thing succeeding the lawful way."""

from __future__ import annotations

import hashlib
import json
import os
import threading

import psycopg
import pytest

from approvals import envelope
from approvals.models import Decision, Gate
from runs import effects
from runs.models import Step, new_id
from tests.approvals.attacks import (
    ALL_PROCESSES,
    PROCESSES,
    claim,
    clearance,
    forged,
    parked,
    proper_seal,
    refusal,
)
from tests.harness import World, admin, as_role
from tests.zoo import ledger


@pytest.mark.parametrize("role", PROCESSES)
def test_no_process_can_clear_by_itself(world: World, role: str) -> None:
    gate = parked(world)
    answer = refusal(world, role, clearance(gate, new_id()))
    assert "permission denied for table approvals_clearance" in answer
    set_ready = ("UPDATE runs_step SET status = 'ready' WHERE id = %s", [gate.step_id])
    answer = refusal(world, role, set_ready)
    if role == "placet_web":
        assert "permission denied for table runs_step" in answer
    else:
        assert "only the gatekeeper clears" in answer or "runs_step_needs" in answer
    assert Step.objects.get(pk=gate.step_id).status == "held"


@pytest.mark.parametrize("role", PROCESSES)
def test_no_process_can_put_a_clearance_on_a_step(world: World, role: str) -> None:
    gate = parked(world)
    statement = "UPDATE runs_step SET clearance_id = %s WHERE id = %s"
    assert "permission denied" in refusal(world, role, (statement, [new_id(), gate.step_id]))


def test_lock_1_a_money_step_without_clearance_cannot_be_ready_even_for_the_owner_of_the_rows(
    world: World,
) -> None:
    gate = parked(world)
    with admin() as superuser, pytest.raises(psycopg.errors.CheckViolation) as refused:
        superuser.execute("SET session_replication_role = replica")  # no trigger helps here
        superuser.execute("UPDATE runs_step SET status = 'ready' WHERE id = %s", [gate.step_id])
    assert "runs_step_needs_clearance" in str(refused.value)


def test_lock_2_the_gatekeeper_cannot_clear_without_a_quorum(world: World) -> None:
    gate = parked(world)
    id = new_id()
    approve = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve, clearance(gate, id))
    assert "lock 2: quorum 0/1" in answer


def test_lock_2_wants_an_approved_gate_and_no_denial(world: World) -> None:
    world.policy(name="two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    run = world.park_at_gates(1_500_000)
    (gate,) = world.gates(run)
    assert "lock 2: the gate is open" in refusal(
        world, "placet_gatekeeper", clearance(gate, new_id())
    )
    world.decide(gate, world.bob)
    approve = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve, clearance(gate, new_id()))
    assert "lock 2: quorum 1/2" in answer
    world.decide(gate, world.carol, "deny")
    answer = refusal(world, "placet_gatekeeper", approve, clearance(gate, new_id()))
    assert "lock 2: a denial stands against it" in answer


def test_lock_2_counts_only_sealed_approvals_of_members(world: World) -> None:
    gate = parked(world)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(*forged(gate, world.bob, seal=b"x" * 32))
        superuser.execute(*forged(gate, world.mallory, seal=proper_seal(gate, world.mallory)))
    approve = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve, clearance(gate, new_id()))
    assert "lock 2: quorum 0/1" in answer


def test_lock_2_wants_the_clearance_to_be_for_the_bytes_of_its_gate(world: World) -> None:
    gate, other = parked(world), parked(world)
    world.decide(gate, world.bob)
    wrong = clearance(gate, new_id())
    wrong[1][2] = other.step_id
    approve = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve, wrong)
    assert "lock 2: the clearance is not for the bytes of its gate" in answer


def test_a_clearance_cannot_be_put_on_another_step(world: World) -> None:
    gate, other = parked(world), parked(world)
    world.decide(gate, world.bob)
    id = new_id()
    answer = refusal(
        world,
        "placet_gatekeeper",
        ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id]),
        clearance(gate, id),
        (
            "UPDATE runs_step SET status = 'ready', clearance_id = %s WHERE id = %s",
            [id, other.step_id],
        ),
    )
    assert "runs_step_clearance_is_its_own" in answer


@pytest.mark.parametrize("role", [r for r in ALL_PROCESSES if r != "placet_web"])
def test_only_web_may_write_a_decision_at_all(world: World, role: str) -> None:
    gate = parked(world)
    answer = refusal(world, role, forged(gate, world.bob, seal=proper_seal(gate, world.bob)))
    assert "permission denied for table approvals_decision" in answer


def test_web_cannot_decide_for_another_by_sql(world: World) -> None:
    gate = parked(world)
    answer = refusal(world, "placet_web", forged(gate, world.bob, seal=os.urandom(32)))
    assert "decision seal: nobody who was signed in confirmed this decision" in answer
    world.decide(gate, world.bob)
    bobs = bytes(Decision.objects.get(gate=gate).seal)
    answer = refusal(world, "placet_web", forged(gate, world.carol, seal=bobs))
    assert "decision seal" in answer


def test_no_process_can_read_the_seal_key_or_ask_for_a_seal(world: World) -> None:
    gate = parked(world)
    for role in ALL_PROCESSES:
        read = ("SELECT key FROM approvals_sealkey", [])
        assert "permission denied for table approvals_sealkey" in refusal(world, role, read)
        ask = (
            "SELECT approvals_seal_of('placet/decision/v2', %s, %s)",
            [f"{gate.id}|{world.bob.pk}|approve|", bytes(gate.digest)],
        )
        assert "permission denied for function approvals_seal_of" in refusal(world, role, ask)


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("alice", "decision requester: who requested may not decide"),
        ("mallory", "decision eligibility: the gate does not ask this person"),
    ],
)
def test_a_sealed_decision_of_the_wrong_person_is_refused(world: World, who: str, why: str) -> None:
    gate = parked(world)
    person = getattr(world, who)
    attack = forged(gate, person, seal=proper_seal(gate, person))
    assert why in refusal(world, "placet_web", attack)
    url = world.servers.database_url("placet_web")
    with psycopg.connect(url) as lawful:
        lawful.execute(*forged(gate, world.bob, seal=proper_seal(gate, world.bob)))
    assert Decision.objects.get(gate=gate).writer == "placet_web"


def test_a_decision_about_other_bytes_is_refused(world: World) -> None:
    gate = parked(world)
    attack = forged(gate, world.bob, seal=proper_seal(gate, world.bob))
    attack[1][5] = hashlib.sha256(b"other").digest()
    assert "decision digest" in refusal(world, "placet_web", attack)


def test_one_person_has_one_vote(world: World) -> None:
    gate = parked(world)
    attack = forged(gate, world.bob, seal=proper_seal(gate, world.bob))
    twice = forged(gate, world.bob, seal=proper_seal(gate, world.bob))
    assert "decision voice: this human being" in refusal(world, "placet_web", attack, twice)


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_nobody_edits_what_is_held_or_asked(world: World, role: str) -> None:
    gate = parked(world)
    for table, column in (
        ("runs_step", "arguments"),
        ("runs_step", "digest"),
        ("runs_step", "key"),
        ("approvals_gate", "envelope"),
        ("approvals_gate", "quorum"),
        ("approvals_policy", "document"),
        ("runs_run", "requested_by_id"),
        ("approvals_reviewer", "person_id"),
    ):
        answer = refusal(world, role, (f"UPDATE {table} SET {column} = NULL", []))
        assert f"permission denied for table {table}" in answer, (table, column)
    assert bytes(Gate.objects.get(pk=gate.pk).envelope) == bytes(gate.envelope)


def test_even_the_superuser_is_refused_a_plain_edit_of_held_bytes(world: World) -> None:
    gate = parked(world)
    with admin() as superuser:
        with pytest.raises(psycopg.Error, match="step bytes"):
            superuser.execute("UPDATE runs_step SET arguments = 'x' WHERE id = %s", [gate.step_id])
        with pytest.raises(psycopg.Error, match="gate bytes"):
            superuser.execute("UPDATE approvals_gate SET quorum = 9 WHERE id = %s", [gate.id])
        with pytest.raises(psycopg.Error, match="policy bytes"):
            superuser.execute("UPDATE approvals_policy SET document = '{}'")
        with pytest.raises(psycopg.Error, match="run identity"):
            superuser.execute("UPDATE runs_run SET requested_by_id = %s", [world.bob.pk])


@pytest.mark.parametrize("role", ALL_PROCESSES)
@pytest.mark.parametrize(
    "table", ["approvals_decision", "approvals_clearance", "approvals_clearanceuse", "runs_event"]
)
def test_nobody_rewrites_what_happened(world: World, role: str, table: str) -> None:
    gate = parked(world)
    world.decide(gate, world.bob, "deny")
    for attack in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"UPDATE {table} SET tenant = 'x'"):
        assert f"permission denied for table {table}" in refusal(world, role, (attack, []))
    assert Decision.objects.get(gate=gate).verdict == "deny"


def test_even_the_owner_is_refused_to_delete_a_denial(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob, "deny")
    for attack in ("DELETE FROM approvals_decision", "UPDATE approvals_decision SET verdict = 'x'"):
        answer = refusal(world, "placet_owner", (attack, []))
        assert "append-only: placet_owner may not" in answer


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_nobody_claims_before_the_clearance(world: World, role: str) -> None:
    gate = parked(world)
    answer = refusal(world, role, claim(gate))
    assert any(
        name in answer
        for name in (
            "permission denied for table runs_step",
            "step arrow: no way leads from held to running",
            "spend role: only the executor spends a clearance",
            "spend clearance: there is none for this step",
        )
    ), answer
    assert ledger("pay-called") == []


@pytest.mark.parametrize("role", [r for r in ALL_PROCESSES if r != "placet_executor"])
def test_only_the_executor_claims_a_cleared_step(world: World, role: str) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    answer = refusal(world, role, claim(gate))
    assert "permission denied" in answer or "only the executor" in answer
    with as_role("placet_executor"):
        assert effects.execute(gate.step_id)
    assert len(ledger("paid")) == 1


def test_twenty_claims_at_once_spend_the_clearance_once(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    url = world.servers.database_url("placet_executor")
    answers: list[str] = []
    barrier = threading.Barrier(20)

    def race() -> None:
        with psycopg.connect(url) as executor:
            barrier.wait()
            try:
                executor.execute(
                    "UPDATE runs_step SET status = 'running', attempt = 1"
                    " WHERE id = %s AND status = 'ready'",
                    [gate.step_id],
                )
                answers.append("claimed" if executor.pgconn else "")
                counted = executor.execute(
                    "SELECT count(*) FROM approvals_clearanceuse WHERE step_id = %s",
                    [gate.step_id],
                ).fetchone()
                answers[-1] += f" {counted}"
            except psycopg.Error as error:
                answers.append(str(error))

    threads = [threading.Thread(target=race) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with admin() as superuser:
        used = superuser.execute("SELECT count(*), min(writer) FROM approvals_clearanceuse")
        assert used.fetchone() == (1, "placet_executor")


def test_the_claim_guards_alone_would_not_do_twenty_forced_claims_meet_the_primary_key(
    world: World,
) -> None:
    """The twin without the guard on `status`: the spent clearance itself refuses."""
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    url = world.servers.database_url("placet_executor")
    with psycopg.connect(url) as executor:
        executor.execute(*claim(gate))
        executor.commit()
        with admin() as superuser:
            superuser.execute("SET session_replication_role = replica")
            superuser.execute(
                "UPDATE runs_step SET status = 'ready', attempt = 0 WHERE id = %s", [gate.step_id]
            )
        with pytest.raises(psycopg.Error, match="spend twice: the clearance has been spent"):
            executor.execute(*claim(gate))


def test_a_denial_between_clearance_and_claim_stops_the_claim(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(*forged(gate, world.carol, seal=b"", verdict="deny"))
    answer = refusal(world, "placet_executor", claim(gate))
    assert "spend denied: a denial stands against it" in answer


def test_the_gatekeeper_cannot_open_a_gate_that_asks_for_less_than_the_policy(
    world: World,
) -> None:
    world.policy(name="two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    gate = parked(world)
    run = world.start("paying", amounts=[1_500_000])
    world.work()
    step = Step.objects.get(run=run, status="held")
    encoded = bytes(gate.envelope)
    values = {
        "id": new_id(),
        "tenant": world.tenant,
        "step": step.id,
        "run": run.id,
        "requester": world.alice.pk,
        "policy": gate.policy_id,
        "rule": 0,
        "name": gate.rule_name,
        "needs": json.dumps(gate.needs),
        "envelope": encoded,
        "digest": envelope.digest(encoded),
        "tool": "pay",
        "amount": 1_500_000,
        "currency": "EUR",
    }
    insert = (
        "INSERT INTO approvals_gate (id, tenant, step_id, run_id, requester_id, policy_id,"
        " rule, rule_name, needs, status, envelope, digest, tool, amount_minor, currency, payee,"
        " payee_name, opened_at, expires_at)"
        " VALUES (%(id)s, %(tenant)s, %(step)s, %(run)s, %(requester)s,"
        " %(policy)s, %(rule)s, %(name)s, %(needs)s, 'open', %(envelope)s, %(digest)s, %(tool)s,"
        " %(amount)s, %(currency)s, 'x', '', now(), now() + interval '1 hour')"
    )
    answer = refusal(world, "placet_gatekeeper", (insert, values))  # type: ignore[arg-type]
    assert "gate rule: the gate does not ask for what its policy asks for" in answer

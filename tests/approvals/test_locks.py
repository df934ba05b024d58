"""The locks, attacked by SQL with the rights of each process. Each refusal is asserted by name,
and each attack has a twin that shows the same thing succeeding the lawful way."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from approvals import envelope
from approvals.decisions import SEAL_TAG
from approvals.models import Decision, Gate
from runs import effects
from runs.models import Step, new_id
from tests.harness import World, admin, as_role
from tests.zoo import ledger

PROCESSES = ("placet_web", "placet_worker", "placet_executor")
ALL_PROCESSES = (*PROCESSES, "placet_gatekeeper", "placet_auditor")
Attack = tuple[str, list[Any]]


def refusal(world: World, role: str, *attacks: Attack) -> str:
    """Runs statements in one transaction as a role; returns what the database answered."""
    url = world.servers.database_url(role)
    with psycopg.connect(url) as attacker, pytest.raises(psycopg.Error) as refused:
        for statement, values in attacks:
            attacker.execute(statement, values)
        attacker.commit()
    return str(refused.value)


def parked(world: World, **input: Any) -> Gate:
    run = world.park_at_gates(5000, **input)
    (gate,) = world.gates(run)
    return gate


def forged(gate: Gate, person: Any, *, seal: bytes, verdict: str = "approve") -> Attack:
    return (
        "INSERT INTO approvals_decision (id, tenant, gate_id, person_id, verdict, reason, digest,"
        " method, seal, decided_at, writer)"
        " VALUES (%s, %s, %s, %s, %s, 'forged', %s, 'confirm', %s, now(), '')",
        [new_id(), gate.tenant, gate.id, person.pk, verdict, bytes(gate.digest), seal],
    )


def clearance(gate: Gate, id: Any) -> Attack:
    return (
        "INSERT INTO approvals_clearance (id, tenant, step_id, gate_id, digest, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, now() + interval '1 hour')",
        [id, gate.tenant, gate.step_id, gate.id, bytes(gate.digest)],
    )


def claim(gate: Gate) -> Attack:
    return (
        "UPDATE runs_step SET status = 'running', attempt = attempt + 1 WHERE id = %s",
        [gate.step_id],
    )


def proper_seal(gate: Gate, person: Any, verdict: str = "approve") -> bytes:
    words = hashlib.sha256(b"forged").hexdigest()
    told = f"{gate.id}|{person.pk}|{verdict}|{words}|".encode()
    message = SEAL_TAG + told + bytes(gate.digest)
    return hmac.new(bytes.fromhex(settings.PLACET_SEAL_KEY), message, hashlib.sha256).digest()


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
        assert "only the gatekeeper clears" in answer or "runs_step_money_needs" in answer
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
    assert "runs_step_money_needs_clearance" in str(refused.value)


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
            "SELECT approvals_seal_of('placet/decision/v1', %s, %s)",
            [f"{gate.id}|{world.bob.pk}|approve|", bytes(gate.digest)],
        )
        assert "permission denied for function approvals_seal_of" in refusal(world, role, ask)


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("alice", "decision requester: who requested may not decide"),
        ("mallory", "decision eligibility: the person is not in the group payments"),
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
    assert "approvals_decision_one_vote" in refusal(world, "placet_web", attack, twice)


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_nobody_edits_what_is_held_or_asked(world: World, role: str) -> None:
    gate = parked(world)
    for table, column in (
        ("runs_step", "arguments"),
        ("runs_step", "digest"),
        ("runs_step", "key"),
        ("approvals_gate", "envelope"),
        ("approvals_gate", "quorum"),
        ("approvals_policy", "quorum"),
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
            superuser.execute("UPDATE approvals_policy SET quorum = 1, name = 'x'")
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
        "group": "payments",
        "quorum": 1,
        "envelope": encoded,
        "digest": envelope.digest(encoded),
        "tool": "pay",
        "amount": 1_500_000,
        "currency": "EUR",
    }
    insert = (
        "INSERT INTO approvals_gate (id, tenant, step_id, run_id, requester_id, policy_id,"
        ' "group", quorum, status, envelope, digest, tool, amount_minor, currency, payee,'
        " opened_at, expires_at) VALUES (%(id)s, %(tenant)s, %(step)s, %(run)s, %(requester)s,"
        " %(policy)s, %(group)s, %(quorum)s, 'open', %(envelope)s, %(digest)s, %(tool)s,"
        " %(amount)s, %(currency)s, 'x', now(), now() + interval '1 hour')"
    )
    answer = refusal(world, "placet_gatekeeper", (insert, values))  # type: ignore[arg-type]
    assert "gate rule: the gate does not ask for what its policy asks for" in answer


def test_the_rights_in_the_database_are_those_of_the_table(world: World) -> None:
    """What `console.rights` declares, role by role, is what PostgreSQL has; nothing more."""
    from console import rights

    for role, tables in rights.declared().items():
        with admin() as superuser:
            found = superuser.execute(
                "SELECT DISTINCT table_name FROM information_schema.column_privileges"
                " WHERE grantee = %s UNION"
                " SELECT DISTINCT table_name FROM information_schema.table_privileges"
                " WHERE grantee = %s",
                [role, role],
            ).fetchall()
        assert {name for (name,) in found} == set(tables), role


def test_no_process_owns_anything_or_may_create(world: World) -> None:
    for role in ALL_PROCESSES:
        assert "permission denied for schema public" in refusal(
            world, role, ("CREATE TABLE mine (x int)", [])
        )
        assert "must be owner of table runs_step" in refusal(
            world, role, ("ALTER TABLE runs_step DISABLE TRIGGER ALL", [])
        )
        assert "permission denied" in refusal(
            world, role, ("SET session_replication_role = replica", [])
        )


def test_the_connection_of_the_harness_really_changes_its_role(world: World) -> None:
    for role in ALL_PROCESSES:
        with as_role(role), connection.cursor() as cursor:
            cursor.execute("SELECT session_user")
            assert cursor.fetchone() == (role,)


def test_what_a_step_came_to_cannot_be_rewritten(world: World) -> None:
    run = world.start("adding", numbers=[1])
    world.settle()
    for role, column in (("placet_worker", "result"), ("placet_executor", "result")):
        answer = refusal(
            world, role, (f"UPDATE runs_step SET {column} = '7' WHERE run_id = %s", [run.id])
        )
        assert "step ended: a step that has succeeded stays so" in answer
    answer = refusal(
        world, "placet_worker", ("UPDATE runs_run SET result = '7' WHERE id = %s", [run.id])
    )
    assert "run ended: a run that has succeeded stays so" in answer


def test_web_cannot_invent_a_run_that_is_over(world: World) -> None:
    run = world.start("adding", numbers=[1])
    answer = refusal(
        world,
        "placet_web",
        (
            "INSERT INTO runs_run (id, tenant, workflow, version, status, input, requested_by_id,"
            " seed, waiting_for, progress_done, progress_total, progress_note,"
            " cancel_requested_by) SELECT %s, tenant, workflow, version, 'succeeded', input,"
            " requested_by_id, seed, '', 0, 0, '', '' FROM runs_run WHERE id = %s",
            [new_id(), run.id],
        ),
    )
    assert "run birth: a run begins ready, and with nothing done" in answer


def test_a_worker_cannot_tell_of_attempts(world: World) -> None:
    """Otherwise it could have a cancelled payment made, or an old answer about a doubt reused."""
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    for change in ("attempt = 1", "failures = 3", "not_before = now()", "result = 'x'"):
        answer = refusal(
            world, "placet_worker", (f"UPDATE runs_step SET {change} WHERE id = %s", [gate.step_id])
        )
        assert "step role: only the executor tells of attempts, not placet_worker" in answer


def test_attempts_are_never_counted_back(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.settle()
    run = world.start("registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    answer = refusal(
        world, "placet_executor", ("UPDATE runs_step SET attempt = 5 WHERE id = %s", [step.id])
    )
    assert "step attempt: attempts are counted one by one" in answer


def test_a_payment_that_was_attempted_cannot_be_called_cancelled(world: World) -> None:
    from runs import transitions

    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    with as_role("placet_executor"):
        fence, _ = transitions.start_step(gate.step_id, holder="x", seconds=60)
        from runs.claims import Held

        transitions.finish_attempt(
            Held("step", gate.step_id, fence),
            transitions.Outcome(status="ready", event="step.attempt_failed", wait_seconds=60),
        )
    cancel = ("UPDATE runs_step SET status = 'cancelled' WHERE id = %s", [gate.step_id])
    assert "step arrow: no way leads from ready to cancelled" in refusal(
        world, "placet_worker", cancel
    )


def test_no_process_speaks_for_another_in_the_journal(world: World) -> None:
    gate = parked(world)

    def said(kind: str, actor: str) -> list[Attack]:
        return [
            ("UPDATE runs_claim SET last_seq = last_seq + 1 WHERE run_id = %s", [gate.run_id]),
            (
                "INSERT INTO runs_event (tenant, run_id, seq, kind, actor, body, trace_id)"
                " SELECT tenant, run_id, last_seq, %s, %s, '{}', '' FROM runs_claim"
                " WHERE run_id = %s",
                [kind, actor, gate.run_id],
            ),
        ]

    for role, kind, actor in (
        ("placet_worker", "decision.made", "bob"),
        ("placet_worker", "step.cleared", "worker"),
        ("placet_worker", "run.progress", "bob"),
        ("placet_executor", "decision.made", "executor"),
        ("placet_executor", "gate.closed", "executor"),
        ("placet_gatekeeper", "decision.made", "gatekeeper"),
        ("placet_web", "step.cleared", "gatekeeper"),
    ):
        answer = refusal(world, role, *said(kind, actor))
        assert f"event writer: {role} may not say {kind}" in answer


def test_nobody_takes_a_number_of_the_journal_out_of_turn(world: World) -> None:
    gate = parked(world)
    jump = ("UPDATE runs_claim SET last_seq = last_seq + 2 WHERE run_id = %s", [gate.run_id])
    assert "event number: the rows of a journal are counted one by one" in refusal(
        world, "placet_worker", jump
    )
    squat = (
        "INSERT INTO runs_event (tenant, run_id, seq, kind, actor, body, trace_id)"
        " SELECT tenant, run_id, last_seq + 1, 'run.waiting', 'worker', '{}', ''"
        " FROM runs_claim WHERE run_id = %s",
        [gate.run_id],
    )
    assert "takes the next number of its run" in refusal(world, "placet_worker", squat)


def test_the_gatekeeper_cannot_lie_about_the_sum_to_get_an_easier_rule(world: World) -> None:
    """All bytes are truthful, only the column for lists says 1 cent."""
    from approvals import gates

    world.policy(name="two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    run = world.start("paying", amounts=[1_500_000])
    world.work()
    step = Step.objects.select_related("run", "declaration").get(run=run, status="held")
    easy = gates.policies.rules(world.tenant)[0]
    with as_role("placet_gatekeeper"):
        assert step.declaration is not None
        arguments = gates.canonical.decode(step.arguments)
        money = envelope.money_of(step.declaration.body, arguments)
        gate = gates._gate(step, easy, money, arguments)
        gate.amount_minor = 1
        with pytest.raises(Exception, match="gate money: the gate does not ask about what"):
            gate.save(force_insert=True)
        gate.amount_minor = 1_500_000
        with pytest.raises(Exception, match="gate rule: the gate does not ask for what"):
            gate.save(force_insert=True)


def test_an_approval_of_somebody_who_has_left_since_moves_no_money(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    with as_role("placet_owner"):
        world.bob.is_active = False
        world.bob.save()
    assert "spend voices: 0 of 1 approvals still stand" in refusal(
        world, "placet_executor", claim(gate)
    )


def test_web_cannot_date_the_audit_nor_revive_a_token_nor_make_one(world: World) -> None:
    answer = refusal(
        world, "placet_web", ("UPDATE console_user SET password = 'x' WHERE id = %s", [1])
    )
    assert "permission denied for table console_user" in answer
    make = (
        "INSERT INTO console_apitoken (id, tenant, person_id, name, hash) VALUES (%s,'x',1,'','')"
    )
    assert "permission denied for table console_apitoken" in refusal(
        world, "placet_web", (make, [new_id()])
    )
    with psycopg.connect(world.servers.database_url("placet_web")) as web:
        web.execute(
            "INSERT INTO console_auditentry (id, tenant, at, actor, action, subject, subject_id,"
            " detail) VALUES (%s, %s, '2020-01-01', 'x', 'x', '', '', '{}')",
            [new_id(), world.tenant],
        )
        at = web.execute("SELECT at > now() - interval '1 minute', writer FROM console_auditentry")
        assert at.fetchone() == (True, "placet_web")

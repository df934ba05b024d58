"""What the database refuses each process beside the locks: rewriting, inventing, speaking for
others. By SQL with the rights of that process; each refusal is asserted by name."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection

from runs.models import Step, new_id
from tests.approvals.attacks import (
    ALL_PROCESSES,
    Attack,
    claim,
    parked,
    refusal,
)
from tests.harness import World, admin, as_role


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
        fence = transitions.start_step(gate.step_id, holder="x", seconds=60).stepclaim.fence
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
    from approvals import asking, gates

    world.policy(name="two", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    run = world.start("paying", amounts=[1_500_000])
    world.work()
    step = Step.objects.select_related("run", "declaration").get(run=run, status="held")
    asked = asking.ask(step)
    assert asked.outcome.rule == 1 and asked.policy is not None
    with as_role("placet_gatekeeper"):
        gate = gates._gate(step, asked)
        gate.amount_minor = 1
        with pytest.raises(Exception, match="gate money: the gate does not ask about what"):
            gate.save(force_insert=True)
        gate.amount_minor = 1_500_000
        easy = asked.policy.body["rules"][0]
        gate.rule, gate.rule_name, gate.needs = 0, easy["name"], easy["then"]
        with pytest.raises(Exception, match="gate rule: the gate does not ask for what"):
            gate.save(force_insert=True)


def test_an_approval_of_somebody_who_has_left_since_moves_no_money(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    with as_role("placet_owner"):
        world.bob.is_active = False
        world.bob.save()
    assert "spend voices: not enough approvals still stand, quorum 0/1" in refusal(
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
    entry = (
        "INSERT INTO console_auditentry (id, tenant, {} actor, action, subject, subject_id, detail)"
        " VALUES (%s, %s, {} 'x', 'x', '', '', '{{}}')"
    )
    dated = (entry.format("at,", "'2020-01-01',"), [new_id(), world.tenant])
    assert "permission denied for table console_auditentry" in refusal(world, "placet_web", dated)
    with psycopg.connect(world.servers.database_url("placet_web")) as web:
        web.execute(entry.format("", ""), [new_id(), world.tenant])
        at = web.execute("SELECT at > now() - interval '1 minute', writer FROM console_auditentry")
        assert at.fetchone() == (True, "placet_web")

"""Ways around the gate that do not go through SQL: none of them reaches the outside world."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest

from approvals import tasks
from runs import canonical, effects, proofs, transitions, worker
from runs.declare import TOOLS, Tool
from runs.errors import ClaimMissed, ConsentMismatch, DirectCallRefused
from runs.models import Step
from runs.tasks import advance, execute
from tests.harness import World, admin, as_role
from tests.zoo import ledger, pay


def cleared(world: World) -> Step:
    run = world.park_at_gates(5000)
    world.approve_all(run)
    world.keep_gates()
    return Step.objects.get(run=run, is_money=True)


def tamper(step: Step, **changed: Any) -> None:
    """Changes columns of a step behind every guard, as only a superuser could."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        for column, value in changed.items():
            superuser.execute(f"UPDATE runs_step SET {column} = %s WHERE id = %s", [value, step.id])


def attempt(step: Step) -> Step:
    with as_role("placet_executor"):
        effects.execute(step.id)
    return Step.objects.get(pk=step.pk)


def test_a_cleared_step_that_nobody_touched_is_paid(world: World) -> None:
    """The lawful twin of the refusals below."""
    assert attempt(cleared(world)).status == "succeeded"
    assert len(ledger("paid")) == 1


def test_a_direct_call_of_the_tool_is_refused(world: World) -> None:
    with pytest.raises(DirectCallRefused, match=r"use run\.call\(pay, \.\.\.\) in a workflow"):
        pay(None, iban="GB29NWBK60161331926819", amount_minor=1, currency="EUR", reference="x")
    assert ledger() == []


def test_a_hand_made_message_for_a_held_step_does_nothing(world: World) -> None:
    run = world.park_at_gates(5000)
    step = Step.objects.get(run=run, is_money=True)
    with as_role("placet_executor"):
        execute(str(step.id))
    with as_role("placet_worker"):
        advance(str(run.id))
    with as_role("placet_gatekeeper"):
        tasks.keep(str(step.id))
    assert Step.objects.get(pk=step.pk).status == "held"
    assert ledger("pay-called") == []


def test_a_message_for_a_step_that_does_not_exist_does_nothing(world: World) -> None:
    with as_role("placet_executor"):
        execute(str(uuid4()))
    with as_role("placet_worker"):
        advance(str(uuid4()))
    with as_role("placet_gatekeeper"):
        tasks.keep(str(uuid4()))


def test_a_message_for_somebody_elses_step_does_nothing(world: World) -> None:
    """While one executor is in the step, another with the same message may not start it."""
    step = cleared(world)
    with as_role("placet_executor"):
        transitions.start_step(step.id, holder="somebody else", seconds=60)
        assert effects.execute(step.id) is False
    assert ledger("pay-called") == []


def test_a_message_for_a_run_that_another_worker_holds_does_nothing(world: World) -> None:
    from runs import claims

    run = world.start("adding", numbers=[1])
    with as_role("placet_worker"):
        assert claims.take_run(run.id) is not None
        assert worker.advance(run.id) is False
    assert ledger("add") == []


def test_twenty_messages_at_once_pay_once(world: World) -> None:
    step = cleared(world)
    url_role = as_role("placet_executor")
    barrier = threading.Barrier(20)
    done: list[bool] = []

    def race() -> None:
        from django.db import connection, connections

        connection.settings_dict = settings_dict
        barrier.wait()
        try:
            done.append(effects.execute(step.id))
        finally:
            connections.close_all()

    with url_role:
        from django.db import connection

        settings_dict = dict(connection.settings_dict)
        threads = [threading.Thread(target=race) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(done) == [False] * 19 + [True]
    assert len(ledger("pay-called")) == 1


def test_arguments_changed_in_the_cleared_row_are_not_sent(world: World) -> None:
    step = cleared(world)
    arguments = canonical.decode(step.arguments) | {"amount_minor": 9_000_000}
    tamper(step, arguments=canonical.encode(arguments))
    after = attempt(step)
    assert after.status == "failed"
    assert after.error == {
        "kind": "ConsentMismatch",
        "message": "The arguments of pay are not those that were declared.",
    }
    assert ledger("pay-called") == []


def test_arguments_and_digest_changed_together_are_not_sent(world: World) -> None:
    """Lock 4: the engine's own digest agrees, the consented bytes do not."""
    step = cleared(world)
    arguments = canonical.encode(canonical.decode(step.arguments) | {"amount_minor": 9_000_000})
    tamper(step, arguments=arguments, digest=canonical.step_digest("pay", arguments))
    after = attempt(step)
    assert after.status == "failed"
    assert after.error is not None
    assert after.error["message"] == (
        "What pay is about to send is not what the gate was about; nothing was sent."
    )
    assert ledger("pay-called") == []


def test_without_lock_4_the_same_change_would_be_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin with the mechanism removed: it shows that the test above tests lock 4."""
    monkeypatch.setattr(proofs, "_verifier", lambda step, tool, arguments: None)
    step = cleared(world)
    arguments = canonical.encode(canonical.decode(step.arguments) | {"amount_minor": 9_000_000})
    tamper(step, arguments=arguments, digest=canonical.step_digest("pay", arguments))
    assert attempt(step).status == "succeeded"
    assert ledger("paid")[0]["amount_minor"] == 9_000_000


def test_without_a_verifier_plugged_in_no_money_moves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "_verifier", None)
    after = attempt(cleared(world))
    assert after.status == "failed"
    assert "Nothing is plugged in that could prove consent" in str(after.error)
    assert ledger("pay-called") == []


def test_arguments_changed_in_the_memory_of_the_executor_are_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = cleared(world)
    honest = canonical.decode

    def tampered(encoded: bytes) -> Any:
        value = honest(encoded)
        if isinstance(value, dict) and "iban" in value:
            value["iban"] = "GB94BARC10201530093459"
        return value

    monkeypatch.setattr(proofs.canonical, "decode", tampered)
    after = attempt(step)
    assert after.status == "failed"
    assert ledger("pay-called") == []


def test_a_step_that_hides_that_it_moves_money_is_not_run(world: World) -> None:
    step = cleared(world)
    tamper(step, is_money=False)
    after = attempt(step)
    assert after.error == {
        "kind": "ConsentMismatch",
        "message": "pay moves money, but its step says otherwise.",
    }
    assert ledger("pay-called") == []


def test_a_tool_that_was_redeclared_since_consent_is_not_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = cleared(world)
    changed = Tool(**{**pay.__dict__, "version": 2})
    monkeypatch.setitem(TOOLS, "pay", changed)
    after = attempt(step)
    assert "was declared otherwise when this step was made; nothing was sent" in str(after.error)
    assert ledger("pay-called") == []


def test_a_worker_cannot_declare_a_payment_as_something_harmless(world: World) -> None:
    """The database knows which tools move money."""
    from django.db import DatabaseError, connection

    run = world.start("adding", numbers=[])
    lie = """
        INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money,
            is_remote, declaration_id, status, arguments, digest, key, attempt, failures,
            held_because)
        SELECT %s, tenant, id, 0, 'tool', 'pay', 'keyed', false, true, %s, 'ready', ''::bytea,
            ''::bytea, 'k', 0, 0, '' FROM runs_run WHERE id = %s
    """
    with as_role("placet_worker"), connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match="step declaration: the step is not what"):
            cursor.execute(lie, [uuid4(), pay.declaration_digest, run.id])


def test_the_consent_of_one_step_does_not_serve_another(world: World) -> None:
    run = world.park_at_gates(5000, 6000)
    world.approve_all(run)
    world.keep_gates()
    step, other = Step.objects.filter(run=run, is_money=True).order_by("position")
    tamper(other, clearance_id=step.clearance_id)
    with as_role("placet_executor"):
        assert effects.execute(other.id) is False
        assert effects.execute(step.id) is True
    assert [entry["amount_minor"] for entry in ledger("pay-called")] == [5000]


def test_verify_refuses_a_gate_with_too_few_approvals_left(world: World) -> None:
    """Decisions deleted behind the database's back are missed by lock 4."""
    from approvals import consent

    step = cleared(world)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("DELETE FROM approvals_decision")
    with as_role("placet_executor"), pytest.raises(ConsentMismatch, match="0 of 1 approvals"):
        consent.verify(step, pay, canonical.decode(step.arguments))


def test_starting_a_step_twice_is_missed(world: World) -> None:
    step = cleared(world)
    with as_role("placet_executor"):
        transitions.start_step(step.id, holder="a", seconds=60)
        with pytest.raises(ClaimMissed):
            transitions.start_step(step.id, holder="b", seconds=60)


def test_a_worker_cannot_declare_a_once_effect_as_safe(world: World) -> None:
    """Otherwise a lost executor would have it done again."""
    from django.db import DatabaseError, connection

    run = world.start("adding", numbers=[])
    lie = """
        INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money,
            is_remote, declaration_id, status, arguments, digest, key, attempt, failures,
            held_because)
        SELECT %s, tenant, id, 0, 'tool', 'launch', 'safe', false, true, %s, 'ready', ''::bytea,
            ''::bytea, 'k', 0, 0, '' FROM runs_run WHERE id = %s
    """
    from tests.zoo import launch

    with as_role("placet_worker"), connection.cursor() as cursor:
        with pytest.raises(DatabaseError, match="step declaration: the step is not what"):
            cursor.execute(lie, [uuid4(), launch.declaration_digest, run.id])


def test_an_executor_does_not_believe_the_row_about_the_effect_class(world: World) -> None:
    step = cleared(world)
    tamper(step, effect="safe")
    after = attempt(step)
    assert after.error == {
        "kind": "ConsentMismatch",
        "message": "pay is keyed, but its step says safe.",
    }
    assert ledger("pay-called") == []


def test_arguments_that_no_longer_fit_end_the_step_instead_of_its_executor(world: World) -> None:
    step = cleared(world)
    tamper(step, arguments=b'{"iban":1}')
    after = attempt(step)
    assert after.status == "failed"
    assert "none that it takes" in str(after.error)
    assert ledger("pay-called") == []


def test_lock_4_refuses_a_policy_that_is_not_about_these_bytes(world: World) -> None:
    """The gatekeeper chose the rule for small sums for a large one, behind every guard."""
    from approvals import consent

    world.policy(name="large", above_minor=1_000_000, up_to_minor=9_000_000, quorum=2)
    run = world.park_at_gates(2_000_000)
    world.approve_all(run, world.bob, world.carol)
    world.keep_gates()
    step = Step.objects.get(run=run, is_money=True)
    with as_role("placet_executor"):
        consent.verify(step, pay, canonical.decode(step.arguments))
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_gate SET rule = 0, rule_name = %s, needs = %s WHERE run_id = %s",
            ["Payments up to 10,000 euro", "{}", run.id],
        )
    with as_role("placet_executor"), pytest.raises(ConsentMismatch, match="is not what the gate"):
        consent.verify(step, pay, canonical.decode(step.arguments))

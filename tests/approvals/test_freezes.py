"""A freeze stops what is in its scope, at once; two admins thaw it; a claim never wins as well."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import psycopg
import pytest
from django.db import connection

from approvals import freezes
from approvals.errors import FreezeRefused, ReasonMissing
from approvals.locks.freezes import FREEZE
from approvals.models import Freeze, Gate
from runs import effects, limits
from runs.models import Step, new_id
from tests.approvals.attacks import ALL_PROCESSES, claim, clearance, parked, refusal
from tests.approvals.proposals import (
    agree,
    an_admin,
    forged_freeze,
    frozen,
    keep,
    propose,
    thawed,
)
from tests.harness import World, admin, as_role
from tests.zoo import ledger

LIFT = "UPDATE approvals_freeze SET lifted_at = now() WHERE id = %s"


def step(gate: Gate) -> Step:
    return Step.objects.get(pk=gate.step_id)


def cleared(world: World) -> Gate:
    gate = parked(world)
    world.decide(gate, world.bob)
    world.keep_gates()
    assert step(gate).status == "ready"
    return gate


def payee_of(gate: Gate) -> str:
    return f" {gate.payee[:4].lower()} {gate.payee[4:]} "


@pytest.mark.parametrize("scope", ["everything", "tool", "workflow", "payee"])
def test_what_is_frozen_is_not_cleared_says_so_and_goes_on_after_the_thaw(
    world: World, scope: str
) -> None:
    frank = an_admin(world, "frank")
    gate = parked(world)
    subject = {"everything": "", "tool": "pay", "workflow": "paying", "payee": payee_of(gate)}
    freeze = frozen(world, scope, subject[scope])
    assert freezes.active_for(gate) == freeze
    world.decide(gate, world.bob)
    world.settle()

    assert step(gate).status == "held"
    said = step(gate).held_because
    assert "is frozen: Something is wrong. It goes on once it is thawed." in said
    assert ledger("paid") == []

    assert thawed(world, freeze, frank).status == "applied"
    world.settle()
    assert len(ledger("paid")) == 1


@pytest.mark.parametrize(
    ("scope", "subject"), [("tool", "other"), ("workflow", "other"), ("payee", "DE0")]
)
def test_what_is_not_in_the_scope_goes_on(world: World, scope: str, subject: str) -> None:
    frozen(world, scope, subject)
    gate = parked(world)
    world.decide(gate, world.bob)
    world.settle()
    assert freezes.active_for(gate) is None
    assert len(ledger("paid")) == 1


def test_what_another_tenant_froze_stops_nothing_here(world: World) -> None:
    frozen(world)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_freeze SET tenant = 'elsewhere'")
    gate = parked(world)
    world.decide(gate, world.bob)
    world.settle()
    assert len(ledger("paid")) == 1


def test_a_clearance_that_was_given_before_is_not_spent_while_it_is_frozen(world: World) -> None:
    frank = an_admin(world, "frank")
    gate = cleared(world)
    freeze = frozen(world, "tool", "pay")
    assert "spend frozen: The tool pay is frozen: Something is wrong." in refusal(
        world, "placet_executor", claim(gate)
    )
    thawed(world, freeze, frank)
    with as_role("placet_executor"):
        assert effects.execute(gate.step_id)
    assert len(ledger("paid")) == 1


def test_lock_2_refuses_a_clearance_of_what_is_frozen(world: World) -> None:
    gate = parked(world)
    world.decide(gate, world.bob)
    frozen(world)
    approve = ("UPDATE approvals_gate SET status = 'approved' WHERE id = %s", [gate.id])
    answer = refusal(world, "placet_gatekeeper", approve, clearance(gate, new_id()))
    assert "lock 2 frozen: Everything is frozen: Something is wrong." in answer


def test_the_executor_meets_a_freeze_once_and_puts_the_step_off(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gate = cleared(world)
    frozen(world)
    asked: list[str] = []

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.extend(["claim"] if "attempt = attempt + 1" in sql else [])
        return execute(sql, params, many, context)

    effects._refused.clear()
    with as_role("placet_executor"), connection.execute_wrapper(count):
        with caplog.at_level(logging.INFO, logger="runs.effects"):
            assert [effects.drain() for _ in range(20)] == [0] * 20
            assert asked == ["claim"]
            with connection.cursor() as cursor:  # the time is over, and it is still frozen
                cursor.execute("UPDATE runs_step SET not_before = NULL WHERE status = 'ready'")
            assert effects.drain() == 0
    assert asked == ["claim", "claim"]
    said = [r.getMessage() for r in caplog.records if "refused by the database" in r.getMessage()]
    assert len(said) == 1
    assert "spend frozen: Everything is frozen: Something is wrong." in said[0]
    now = step(gate)
    assert (now.status, now.attempt) == ("ready", 0)
    assert now.not_before is not None and limits.REFUSED_SECONDS == 10


def test_anybody_of_three_roles_freezes_and_the_same_is_frozen_once(world: World) -> None:
    first = frozen(world, "tool", "pay", by=world.alice)
    assert frozen(world, "tool", "pay", by=world.bob).pk == first.pk
    frozen(world, "tool", "refund", by=world.erin)
    with pytest.raises(FreezeRefused, match="A reviewer, an operator or an admin freezes"):
        frozen(world, by=world.dave)
    with pytest.raises(FreezeRefused, match="Say which tool is to be frozen"):
        frozen(world, "tool", " ")
    with as_role("placet_web"), pytest.raises(ReasonMissing, match="A freeze needs a reason"):
        freezes.freeze(tenant=world.tenant, person=world.bob, scope="everything", reason="")


# Thawing.


def test_one_admin_thaws_nothing_and_the_one_who_froze_may_propose_it(world: World) -> None:
    frank = an_admin(world, "frank")
    freeze = frozen(world)
    change = propose(world, world.bob, "thaw", freezes.thaw_body(freeze))
    agree(world, change, frank)
    assert keep(change).status == "open"
    assert Freeze.objects.get().lifted_at is None

    agree(world, change, world.erin)
    assert keep(change).status == "applied"
    lifted = Freeze.objects.get()
    assert lifted.lifted_at is not None and lifted.lifted_by_id == change.pk


@pytest.mark.parametrize("role", [*ALL_PROCESSES, "placet_owner"])
def test_nobody_lifts_a_freeze_by_sql(world: World, role: str) -> None:
    freeze = frozen(world)
    answer = refusal(world, role, (LIFT, [freeze.pk]))
    if role in ("placet_gatekeeper", "placet_owner"):
        assert "freeze thaw: two admins have not agreed to this" in answer
    else:
        assert "permission denied for table approvals_freeze" in answer
    answer = refusal(world, role, ("DELETE FROM approvals_freeze", []))
    assert "permission denied" in answer or "append-only" in answer
    answer = refusal(world, role, ("UPDATE approvals_freeze SET tenant = 'x'", []))
    assert "permission denied" in answer or "freeze bytes: a freeze is lifted" in answer


def test_a_satisfied_change_thaws_its_own_freeze_and_no_other(world: World) -> None:
    first, second = frozen(world, "tool", "pay"), frozen(world, "tool", "refund")
    change = propose(world, world.erin, "thaw", freezes.thaw_body(first))
    agree(world, change, an_admin(world, "frank"))
    apply = ("UPDATE approvals_change SET status = 'applied' WHERE id = %s", [change.pk])
    lift = "UPDATE approvals_freeze SET lifted_at = now(), lifted_by_id = %s WHERE id = %s"
    answer = refusal(world, "placet_gatekeeper", apply, (lift, [change.pk, second.pk]))
    assert "freeze thaw: two admins have not agreed to this" in answer
    with psycopg.connect(world.servers.database_url("placet_gatekeeper")) as gatekeeper:
        gatekeeper.execute(*apply)
        gatekeeper.execute(lift, [change.pk, first.pk])
    assert Freeze.objects.get(pk=first.pk).lifted_at is not None


# Freezing, by SQL.


@pytest.mark.parametrize("role", ["placet_worker", "placet_executor", "placet_auditor"])
def test_a_process_that_has_no_say_freezes_nothing(world: World, role: str) -> None:
    attack = forged_freeze(world, world.bob, proper=True)
    assert "permission denied for table approvals_freeze" in refusal(world, role, attack)


def test_web_freezes_in_nobodys_name_and_for_no_machine(world: World) -> None:
    answer = refusal(world, "placet_web", forged_freeze(world, world.bob, proper=False))
    assert "freeze seal: nobody who was signed in froze this" in answer
    answer = refusal(world, "placet_web", forged_freeze(world, None, proper=True))
    assert "freeze role: a reviewer, an operator or an admin freezes" in answer
    answer = refusal(world, "placet_web", forged_freeze(world, world.dave, proper=True))
    assert "freeze role" in answer
    with psycopg.connect(world.servers.database_url("placet_web")) as lawful:
        lawful.execute(*forged_freeze(world, world.bob, proper=True))
    assert Freeze.objects.get().writer == "placet_web"


# By the policy's thresholds.


def test_denials_within_the_time_trip_a_freeze_once(world: World) -> None:
    threshold = [{"scope": "workflow", "denials": 2, "within_seconds": 600}]

    def denied() -> list[Freeze]:
        gate = parked(world)
        world.decide(gate, world.bob, "deny")
        world.settle()
        with as_role("placet_gatekeeper"):
            return freezes.trip(world.tenant, threshold, Gate.objects.get(pk=gate.pk))

    assert denied() == []
    (tripped,) = denied()
    assert (tripped.scope, tripped.subject, tripped.by_id) == ("workflow", "paying", None)
    assert tripped.reason == "2 denials within 600 seconds: the policy says so."
    assert Freeze.objects.get().writer == "placet_gatekeeper"
    assert denied() == []

    # After the thaw it is counted anew.
    thawed(world, tripped, an_admin(world, "frank"))
    assert denied() == []
    assert len(denied()) == 1


# The race, and its twin without the lock, in which both win.


def waits_for_advisory_lock(user: str) -> bool:
    with admin() as superuser:
        found = superuser.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND wait_event = 'advisory' AND usename = %s",
            [user],
        ).fetchone()
    return found != (0,)


def redefine(*, with_lock: bool) -> None:
    found = FREEZE.partition("CREATE FUNCTION approvals_refuse_frozen")[2].partition("$$;")[0]
    sql = f"CREATE OR REPLACE FUNCTION approvals_refuse_frozen{found}$$;"
    lock = "PERFORM pg_advisory_xact_lock_shared(hashtext('placet.freeze'), hashtext(gate.tenant));"
    assert lock in sql
    with as_role("placet_owner"), connection.cursor() as owner:
        owner.execute(sql if with_lock else sql.replace(lock, ""))


@pytest.fixture(params=[True, False], ids=["lock on", "lock off"])
def has_lock(request: pytest.FixtureRequest) -> Any:
    redefine(with_lock=request.param)
    yield request.param
    redefine(with_lock=True)


def test_a_claim_that_meets_a_freeze_under_way_waits_for_it_and_loses(
    world: World, has_lock: bool
) -> None:
    gate = cleared(world)
    said: list[str] = []

    def race() -> None:
        with psycopg.connect(world.servers.database_url("placet_executor")) as executor:
            try:
                executor.execute(*claim(gate))
                executor.commit()
                said.append("claimed")
            except psycopg.Error as error:
                said.append(str(error))

    thread = threading.Thread(target=race)
    with psycopg.connect(world.servers.database_url("placet_web")) as web:
        web.execute(*forged_freeze(world, world.bob, proper=True))
        thread.start()
        until = time.monotonic() + 5
        while not said and not waits_for_advisory_lock("placet_executor"):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert bool(said) is not has_lock
        web.commit()
    thread.join()
    if has_lock:
        assert "spend frozen: Everything is frozen: x" in said[0]
        assert step(gate).status == "ready"
    else:
        assert said == ["claimed"]  # both won: the money leaves after somebody froze it


def test_a_freeze_that_meets_a_claim_under_way_waits_for_it(world: World, has_lock: bool) -> None:
    gate = cleared(world)
    said: list[str] = []

    def race() -> None:
        with psycopg.connect(world.servers.database_url("placet_web")) as web:
            web.execute(*forged_freeze(world, world.bob, proper=True))
            web.commit()
            said.append("frozen")

    thread = threading.Thread(target=race)
    with psycopg.connect(world.servers.database_url("placet_executor")) as executor:
        executor.execute(*claim(gate))
        thread.start()
        until = time.monotonic() + 5
        while not said and not waits_for_advisory_lock("placet_web"):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert bool(said) is not has_lock
        executor.commit()
    thread.join()
    assert said == ["frozen"]
    with admin() as superuser:
        after = superuser.execute(
            "SELECT f.at > u.used_at FROM approvals_freeze f, approvals_clearanceuse u"
        ).fetchone()
    assert after == (True,)

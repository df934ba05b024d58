"""Steering and the engine at once, killed in between, and attacked by SQL."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from runs import claims, effects, steering, transitions, worker
from runs.errors import AlreadyEnded
from runs.models import Run
from tests.harness import World, as_role
from tests.steered import WHY, cancel, kinds, pause, terminate
from tests.turns import end_claims, killed_at, together, wait_for_a_lock
from tests.zoo import ledger

# Races, under the lock


@pytest.mark.parametrize("turn", range(6))
def test_a_pause_and_a_claim_at_once_leave_no_claim_without_a_holder(
    world: World, turn: int
) -> None:
    """Else a run that is resumed at once would wait until the forgotten claim is over."""
    run = world.start("adding", numbers=[1])
    _, claim = together(
        ("placet_web", lambda: steering.pause(run=run, actor="bob", reason=WHY)),
        ("placet_worker", lambda: claims.take_run(run.id)),
    )
    now = world.run_now(run)
    if claim is None:
        assert now.status == "paused"
        assert now.claim.expires_at is None or now.claim.holder == ""
    else:
        assert now.status == "running"
        with as_role("placet_worker"):
            worker._slice(claim)
        assert world.run_now(run).status == "paused"
    with as_role("placet_web"):
        steering.resume(run=run, actor="bob")
    world.settle()
    assert world.result(run) == 1


def test_a_claim_that_waited_for_a_pause_is_not_taken(world: World) -> None:
    """The worker's statement began before the pause was committed, and waits at its lock."""
    run = world.start("adding", numbers=[1])
    paused = threading.Event()

    def slowly() -> None:
        from django.db import transaction

        with transaction.atomic():
            steering.pause(run=run, actor="bob", reason=WHY)
            paused.set()
            wait_for_a_lock()

    def late() -> Any:
        paused.wait(10)
        return claims.take_run(run.id)

    _, claim = together(("placet_web", slowly), ("placet_worker", late))
    assert claim is None
    now = world.run_now(run)
    assert (now.status, now.claim.holder, now.claim.expires_at) == ("paused", "", None)


@pytest.mark.parametrize("turn", range(4))
def test_a_cancellation_and_the_end_at_once_agree(world: World, turn: int) -> None:
    run = world.start("echoing", value=1)
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None
    asked, _ = together(
        ("placet_web", lambda: steering.request_cancel(run=run, actor="bob")),
        ("placet_worker", lambda: worker._slice(claim)),
    )
    world.settle()
    status = world.run_now(run).status
    if asked is True:
        assert status == "cancelled"
    else:
        assert isinstance(asked, AlreadyEnded) and status == "succeeded"


@pytest.mark.parametrize("turn", range(4))
def test_a_pause_and_a_resumption_at_once_take_turns(world: World, turn: int) -> None:
    run = world.start("adding", numbers=[1])
    pause(run)
    answers = together(
        ("placet_web", lambda: steering.resume(run=run, actor="bob")),
        ("placet_web", lambda: steering.pause(run=run, actor="carol", reason=WHY)),
    )
    assert answers[0] is True
    is_paused = world.run_now(run).status == "paused"
    assert answers[1] is is_paused, "paused again after the resumption, or found paused before"
    assert kinds(run).count("run.paused") == 1 + is_paused


@pytest.mark.parametrize("turn", range(4))
def test_a_termination_and_an_attempt_at_once_lose_neither(world: World, turn: int) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    together(
        ("placet_web", lambda: steering.terminate(run=run, actor="bob", reason=WHY)),
        ("placet_executor", lambda: effects.execute(step.id)),
    )
    world.settle()
    (step,) = world.steps(run)
    assert world.run_now(run).status == "cancelled"
    assert (step.status, len(ledger("registered"))) in (("succeeded", 1), ("cancelled", 0))


# Killed in between


def take_over(run: Run) -> None:
    """What the sweep and the next worker do, once the claim of the lost one is over."""
    end_claims()
    with as_role("placet_worker"):
        worker.advance(run.id)


@pytest.mark.parametrize("verb", [cancel, terminate])
@pytest.mark.parametrize(
    "point",
    ["committed:run.claimed", "committed:run.cancelling", "committed:run.cancelled"],
)
def test_a_worker_killed_while_it_ends_a_run_is_followed_by_another(
    world: World, verb: Any, point: str
) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    verb(run)
    was_killed = killed_at(point, world.work)
    assert was_killed or (verb, point) == (terminate, "committed:run.cancelling")
    take_over(run)
    world.settle()
    assert world.run_now(run).status == "cancelled"
    assert kinds(run).count("run.cancelled") == 1
    assert ledger() == []


@pytest.mark.parametrize("point", ["committed:run.claimed", "committed:run.paused"])
def test_a_worker_killed_while_it_pauses_a_run_is_followed_by_another(
    world: World, point: str
) -> None:
    run = world.start("adding", numbers=[1, 2, 3])
    with as_role("placet_worker"):
        assert claims.take_run(run.id) is not None
    pause(run)
    assert killed_at(point, lambda: take_over(run))
    take_over(run)
    assert world.run_now(run).status == "paused"
    assert kinds(run).count("run.paused") == 1
    assert ledger() == []


# Attacks by SQL, as the roles


@pytest.mark.parametrize(
    ("role", "change", "why"),
    [
        ("placet_web", "status = 'cancelled'", "run role: web may only wake a run"),
        ("placet_web", "status = 'quarantined'", "run role: web may only wake a run"),
        ("placet_web", "ending = '{}'", "permission denied"),
        ("placet_gatekeeper", "status = 'paused'", "run role: gatekeeper may only wake a run"),
        ("placet_gatekeeper", "pause_requested_at = now()", "permission denied"),
        ("placet_executor", "status = 'paused'", "run role: executor may only wake a run"),
        ("placet_executor", "terminate_requested_at = now()", "permission denied"),
        ("placet_worker", "terminate_requested_at = now()", "permission denied"),
    ],
)
def test_no_process_steers_beyond_its_part(world: World, role: str, change: str, why: str) -> None:
    run = world.start("lingering", seconds=60.0)
    world.work()
    with psycopg.connect(world.servers.database_url(role)) as attacker:
        with pytest.raises(psycopg.Error, match=why):
            attacker.execute(f"UPDATE runs_run SET {change} WHERE id = %s", [run.id])


def test_web_cannot_pause_a_run_that_a_worker_holds(world: World) -> None:
    run = world.start("adding", numbers=[1])
    with as_role("placet_worker"):
        assert claims.take_run(run.id) is not None
    with psycopg.connect(world.servers.database_url("placet_web")) as attacker:
        with pytest.raises(psycopg.Error, match="run role: web may only wake a run"):
            attacker.execute("UPDATE runs_run SET status = 'paused' WHERE id = %s", [run.id])


@pytest.mark.parametrize("role", ["placet_worker", "placet_executor", "placet_gatekeeper"])
@pytest.mark.parametrize("status", ["paused", "quarantined"])
def test_no_process_resumes_what_a_person_has_to(world: World, role: str, status: str) -> None:
    run = world.start("lingering", seconds=60.0)
    if status == "paused":
        pause(run)
    else:
        with as_role("placet_worker"):
            transitions.quarantine(run.id, {"kind": "Mismatch", "message": "They disagree."})
    with psycopg.connect(world.servers.database_url(role)) as attacker:
        with pytest.raises(psycopg.Error, match="run role: only people resume a run"):
            attacker.execute("UPDATE runs_run SET status = 'ready' WHERE id = %s", [run.id])


def test_a_worker_cannot_take_back_a_pause_that_is_still_to_come(world: World) -> None:
    run = world.start("adding", numbers=[1])
    with as_role("placet_worker"):
        assert claims.take_run(run.id) is not None
    pause(run)
    with psycopg.connect(world.servers.database_url("placet_worker")) as attacker:
        with pytest.raises(psycopg.Error, match="run role: only people resume a run"):
            attacker.execute(
                "UPDATE runs_run SET pause_requested_at = NULL WHERE id = %s", [run.id]
            )


@pytest.mark.parametrize("kind", ["run.resumed", "run.pause_requested", "run.terminate_requested"])
@pytest.mark.parametrize("role", ["placet_worker", "placet_executor", "placet_gatekeeper"])
def test_only_web_tells_of_people_who_steer(world: World, role: str, kind: str) -> None:
    run = world.start("adding", numbers=[1])
    with psycopg.connect(world.servers.database_url(role)) as attacker:
        with pytest.raises(psycopg.Error, match="event writer"):
            attacker.execute(
                "WITH n AS (UPDATE runs_claim SET last_seq = last_seq + 1 WHERE run_id = %s"
                " RETURNING last_seq) INSERT INTO runs_event (tenant, run_id, seq, kind, actor,"
                " body, trace_id) SELECT %s, %s, last_seq, %s, 'bob', '{}', '' FROM n",
                [run.id, world.tenant, run.id, kind],
            )

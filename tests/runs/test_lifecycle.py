"""Starting and cancelling: idempotent, validated, and nothing half done."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection

from runs import limits
from runs.errors import (
    AlreadyEnded,
    IdempotencyMismatch,
    InvalidInput,
    PayloadTooLarge,
    UnknownWorkflow,
)
from runs.lifecycle import start_run
from runs.models import Claim, Run, new_id
from runs.steering import request_cancel
from runs.transitions import endings
from tests.harness import World, as_role
from tests.zoo import ledger


def start(world: World, key: str | None = None, **input: Any) -> tuple[Run, bool]:
    with as_role("placet_web"):
        return start_run(
            tenant=world.tenant,
            workflow="adding",
            input=input,
            requested_by=world.alice,
            idempotency_key=key,
        )


def test_the_same_key_starts_one_run(world: World) -> None:
    first, was_created = start(world, "k", numbers=[1])
    again, was_created_again = start(world, "k", numbers=[1])
    assert (was_created, was_created_again) == (True, False)
    assert first.pk == again.pk
    assert Run.objects.count() == Claim.objects.count() == 1


def test_the_same_key_with_another_request_is_refused(world: World) -> None:
    start(world, "k", numbers=[1])
    with pytest.raises(IdempotencyMismatch, match="was used before, for another request"):
        start(world, "k", numbers=[2])
    assert Run.objects.count() == 1


def test_a_key_belongs_to_its_tenant(world: World) -> None:
    start(world, "k", numbers=[1])
    with as_role("placet_web"):
        _, was_created = start_run(
            tenant="another",
            workflow="adding",
            input={"numbers": [2]},
            requested_by=world.alice,
            idempotency_key="k",
        )
    assert was_created


def test_twenty_starts_at_once_with_one_key_start_one_run(world: World) -> None:
    from django.db import connection, connections

    barrier, ids = threading.Barrier(20), []
    with as_role("placet_web"):
        settings = dict(connection.settings_dict)

        def race() -> None:
            connection.settings_dict = settings
            barrier.wait()
            try:
                run, _ = start_run(
                    tenant=world.tenant,
                    workflow="adding",
                    input={"numbers": []},
                    requested_by=world.alice,
                    idempotency_key="k",
                )
                ids.append(run.pk)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=race) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ids) == 20 and len(set(ids)) == 1


@pytest.mark.parametrize(
    ("input", "pointers"),
    [
        ({}, {""}),
        ({"numbers": "1"}, {"/numbers"}),
        ({"numbers": [1, "x"]}, {"/numbers/1"}),
        ({"numbers": [], "more": 1}, {""}),
        ({"numbers": [0.5]}, {"/numbers/0"}),
        ({"numbers": [2**53]}, {""}),
    ],
)
def test_input_that_does_not_fit_starts_nothing(
    world: World, input: dict[str, Any], pointers: set[str]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        start(world, **input)
    assert {pointer for pointer, _ in refused.value.errors} == pointers
    assert Run.objects.count() == 0


def test_two_megabytes_of_input_start_nothing(world: World) -> None:
    with pytest.raises(PayloadTooLarge, match="at most 262144 are kept"):
        start(world, numbers=["x" * 2_000_000])
    assert Run.objects.count() == 0


def test_an_unknown_workflow_starts_nothing(world: World) -> None:
    with as_role("placet_web"), pytest.raises(UnknownWorkflow, match="no workflow called 'nope'"):
        start_run(tenant=world.tenant, workflow="nope", input={}, requested_by=world.alice)


@pytest.mark.parametrize("key", ["", "x" * (limits.MAX_IDEMPOTENCY_KEY + 1)])
def test_a_key_has_a_length(world: World, key: str) -> None:
    with pytest.raises(InvalidInput, match="has 1 to 255 characters"):
        start(world, key, numbers=[])
    start(world, "x" * limits.MAX_IDEMPOTENCY_KEY, numbers=[])


def test_a_run_cancelled_before_it_began_does_nothing(world: World) -> None:
    run, _ = start(world, numbers=[1])
    with as_role("placet_web"):
        assert request_cancel(run=run, actor="alice")
    world.settle()
    assert world.run_now(run).status == "cancelled"
    assert ledger() == []


def test_a_run_that_has_ended_cannot_be_cancelled(world: World) -> None:
    run, _ = start(world, numbers=[1])
    world.settle()
    with as_role("placet_web"), pytest.raises(AlreadyEnded, match="has already succeeded"):
        request_cancel(run=run, actor="alice")


def test_cancelling_waits_for_the_effect_in_flight(world: World) -> None:
    """What an executor has begun is finished and recorded, then the run is cancelled."""
    from runs import effects, transitions
    from runs.claims import Held

    run = world.start("registering", names=["a", "b"])
    world.work()
    first, second = world.steps(run)
    with as_role("placet_executor"):
        fence = transitions.start_step(first.id, holder="executor", seconds=60).stepclaim.fence
    with as_role("placet_web"):
        request_cancel(run=run, actor="alice")
    world.work()
    now = world.run_now(run)
    assert now.status == "waiting"
    assert now.waiting_for == "register to end, then it is cancelled"
    with as_role("placet_executor"):
        assert effects.execute(second.id) is False
        outcome = transitions.Outcome(
            status="succeeded", event="step.succeeded", result=b'{"name":"a"}'
        )
        transitions.finish_attempt(Held("step", first.id, fence), outcome)
    world.settle()
    assert world.run_now(run).status == "cancelled"
    assert [step.status for step in world.steps(run)] == ["succeeded", "cancelled"]
    assert ledger("registered") == []


def test_a_cancel_that_meets_a_busy_worker_is_seen_when_it_parks(world: World) -> None:
    """The request comes while the worker is in its slice, before the run waits for anything."""
    from runs import claims, transitions

    run = world.start("registering", names=["a"])
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None
    with as_role("placet_web"):
        assert request_cancel(run=run, actor="alice")
    with as_role("placet_worker"):
        transitions.park(claim, declared=[], awaited=[], waiting_for="something")
    assert world.run_now(run).status == "ready"
    world.settle()
    assert world.run_now(run).status == "cancelled"


def test_a_run_that_ends_is_found_by_its_id(world: World) -> None:
    """Among those that were running lately are all that have ended since the last vacuum."""
    for _ in range(20):
        world.start("adding", numbers=[1])
    world.settle()
    with as_role("placet_owner"), connection.cursor() as cursor:
        cursor.execute("ANALYZE runs_run, runs_claim, runs_step")
    values = {"run": new_id(), "fence": 1, "result": None, "trace": ""}
    with as_role("placet_worker"), connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {endings.END_WELL}", values)
        plan = [line.strip() for (line,) in cursor.fetchall()]

    reads = next(i for i, line in enumerate(plan) if "Scan" in line and "on runs_run r" in line)
    assert plan[reads + 1].startswith("Index Cond: (id = ")


def test_of_what_the_database_refuses_only_a_missing_body_is_an_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other empty column of an event is a fault, and not a run that may not end."""
    from runs import claims, transitions

    run, _ = start(world, numbers=[])
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None
        with monkeypatch.context() as broken, pytest.raises(IntegrityError, match='"trace_id"'):
            untraced = endings.END_WELL.replace("%(trace)s", "NULL::text")
            broken.setattr(endings, "END_WELL", untraced)
            transitions.finish_run(claim, "succeeded", result=b"0")
        assert world.run_now(run).status == "running"

        transitions.finish_run(claim, "succeeded", result=b"0")
    assert world.run_now(run).status == "succeeded"

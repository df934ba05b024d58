"""Continuing as new, and journals that have become too long."""

from __future__ import annotations

import pytest

from runs import limits, points, signals
from runs.models import Run
from tests.harness import World, admin, as_role
from tests.runs.test_signals import send


def test_a_run_goes_on_in_new_ones_with_its_mail(world: World) -> None:
    run = world.start("counting", number=0, most=3)
    send(world, run, "end", "well", dedup_key="k")
    world.settle()
    last = Run.objects.get(tenant=world.tenant, continued_by=None)
    assert world.result(last) == [3, "well", False]
    assert Run.objects.filter(tenant=world.tenant).count() == 4
    assert world.result(run) == {"continued_as": str(run.continued_by.id)}
    assert last.requested_by_id == world.alice.id


def test_mail_to_the_old_run_reaches_the_newest(world: World) -> None:
    run = world.start("counting", number=0, most=2)
    world.settle()
    first, _ = send(world, run, "end", "late", dedup_key="k")
    assert first.run_id != run.id
    world.settle()
    assert world.result(Run.objects.get(pk=first.run_id)) == [2, "late", False]
    assert send(world, run, "end", "late", dedup_key="k")[0].id == first.id


def test_a_parent_waits_for_the_last_of_them(world: World) -> None:
    parent = world.start(
        "parenting", children=[{"workflow": "counting", "input": {"number": 0, "most": 2}}]
    )
    world.settle()
    assert world.run_now(parent).status == "waiting"
    send(world, parent.children.get(), "end", "well")
    world.settle()
    assert world.result(parent) == [[2, "well", False]]


def test_a_worker_that_dies_while_a_run_continues_leaves_one_successor(world: World) -> None:
    run = world.start("counting", number=0, most=1)
    deaths = []

    def dies(reached: str) -> None:
        if reached in ("committed:step.succeeded", "committed:run.continued") and len(deaths) < 2:
            deaths.append(reached)
            raise KeyboardInterrupt

    points.observer = dies
    try:
        for _ in range(4):
            try:
                world.settle()
            except KeyboardInterrupt:
                with admin() as superuser:
                    superuser.execute("UPDATE runs_claim SET expires_at = now() - interval '1 s'")
                    superuser.execute(
                        "UPDATE runs_run SET status = 'ready' WHERE status = 'running'"
                    )
    finally:
        points.observer = None
    assert deaths == ["committed:step.succeeded", "committed:run.continued"]
    assert Run.objects.filter(tenant=world.tenant).count() == 2
    assert world.run_now(run).status == "succeeded"


@pytest.mark.parametrize(("events", "is_due"), [(-1, False), (0, True)])
def test_a_long_journal_says_that_it_is_time(world: World, events: int, is_due: bool) -> None:
    run = world.start("counting", number=1, most=1)
    send(world, run, "end", "x")
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        # One event more is written before the question: the first step, and the taken signal.
        superuser.execute(
            "UPDATE runs_claim SET last_seq = %s WHERE run_id = %s",
            [limits.WARN_EVENTS + events - 2, run.id],
        )
    world.settle()
    assert world.result(run) == [1, "x", is_due]


@pytest.mark.parametrize(("events", "status"), [(-3, "succeeded"), (0, "quarantined")])
def test_a_journal_that_is_full_quarantines_and_loses_nothing(
    world: World, events: int, status: str
) -> None:
    run = world.start("adding", numbers=[1, 2])
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE runs_claim SET last_seq = %s WHERE run_id = %s",
            [limits.MAX_EVENTS + events, run.id],
        )
    world.settle()
    now = world.run_now(run)
    assert now.status == status
    if status == "quarantined":
        assert now.error["kind"] == "HistoryFull"
        assert "50,000 events" in now.waiting_for


def test_a_worker_carries_on_for_the_same_person_only(world: World) -> None:
    run = world.start("counting", number=0, most=1)
    world.settle()
    successor = run.continued_by
    assert (successor.requested_by_id, successor.tenant) == (world.alice.id, world.tenant)
    with as_role("placet_worker"):
        assert signals.oldest_in(successor.id, "end") is None

"""Runs that start runs."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.db.utils import DatabaseError

from runs import children, limits, points, worker
from runs.models import Claim, Run, Signal
from tests.harness import World, admin, as_role
from tests.turns import at_point


def register(*names: str) -> list[dict[str, object]]:
    return [{"workflow": "registering", "input": {"names": [name]}} for name in names]


def test_children_run_and_their_results_come_back_in_order(world: World) -> None:
    run = world.start("parenting", children=register("a", "b", "c"))
    world.settle()
    assert world.result(run) == [[{"name": "a"}], [{"name": "b"}], [{"name": "c"}]]
    found = list(run.children.order_by("parent_position"))
    assert [(c.depth, c.requested_by_id, c.tenant) for c in found] == [
        (1, world.alice.id, world.tenant)
    ] * 3


def test_a_child_that_has_ended_before_its_parent_looks_is_collected_at_once(world: World) -> None:
    """The step that stands for it was recorded in the same slice."""
    run = world.start("parenting", children=[{"workflow": "echoing", "input": {"value": 7}}])
    with at_point("committed:child.started", lambda: worker.advance(run.children.get().id)) as met:
        world.work()
    assert met
    assert (world.run_now(run).status, world.result(run)) == ("succeeded", [7])


def test_a_child_that_fails_is_the_parents_matter(world: World) -> None:
    children = [{"workflow": "refusing", "input": {}}, *register("b")]
    run = world.start("parenting", children=children)
    world.settle()
    assert world.result(run) == ["the world said no", [{"name": "b"}]]


def test_a_hundred_children_of_one_run(world: World) -> None:
    run = world.start("parenting", children=register(*(f"n{i}" for i in range(100))))
    world.settle()
    assert world.run_now(run).status == "succeeded"
    assert len(world.result(run)) == 100


def test_a_chain_of_runs_ten_deep(world: World) -> None:
    run = world.start("nesting", depth=10)
    world.settle()
    assert world.result(run) == 10
    assert Run.objects.filter(tenant=world.tenant).count() == 11


def test_a_chain_that_is_too_deep_says_so(world: World) -> None:
    run = world.start("nesting", depth=limits.MAX_ANCESTORS + 1)
    world.settle()
    now = world.run_now(run)
    assert now.status == "failed"
    assert f"no deeper than {limits.MAX_ANCESTORS}" in now.error["message"]


def test_an_input_that_does_not_fit_starts_nothing(world: World) -> None:
    run = world.start("parenting", children=[{"workflow": "adding", "input": {"numbers": "x"}}])
    world.settle()
    now = world.run_now(run)
    assert (now.status, now.error["kind"]) == ("failed", "InvalidInput")
    assert not run.children.exists()


@pytest.mark.parametrize("point", ["committed:child.started", "committed:run.succeeded"])
def test_a_worker_that_dies_there_starts_each_child_once_and_misses_none(
    world: World, point: str
) -> None:
    run = world.start("parenting", children=register("a", "b"))
    deaths = []

    def dies(reached: str) -> None:
        if reached == point and len(deaths) < 2:
            deaths.append(reached)
            raise KeyboardInterrupt

    points.observer = dies
    try:
        for _ in range(10):
            try:
                world.settle()
            except KeyboardInterrupt:
                with admin() as superuser:
                    superuser.execute("UPDATE runs_claim SET expires_at = now() - interval '1 s'")
                    superuser.execute(
                        "UPDATE runs_run SET status = 'ready' WHERE status = 'running'"
                    )
            with as_role("placet_worker"):
                children.find_untold()
    finally:
        points.observer = None
    assert len(deaths) == 2
    assert world.result(run) == [[{"name": "a"}], [{"name": "b"}]]
    assert run.children.count() == 2


def test_children_end_with_the_parent_unless_they_are_detached(world: World) -> None:
    from runs.steering import request_cancel

    listen = [{"workflow": "listening", "input": {"signals": ["go"]}}]
    near = world.start("parenting", children=listen)
    far = world.start("parenting", children=listen, detached=True)
    world.settle()
    with as_role("placet_web"):
        request_cancel(run=near, actor="alice")
        request_cancel(run=far, actor="alice")
    world.settle()
    assert world.run_now(near).status == world.run_now(far).status == "cancelled"
    assert near.children.get().status == "cancelled"
    assert far.children.get().status == "waiting"


def test_a_worker_starts_runs_only_for_whom_asked(world: World) -> None:
    parent = world.start("listening", signals=["go"])
    world.settle()
    values = {
        "tenant": world.tenant,
        "workflow": "adding",
        "version": 1,
        "input": b'{"numbers":[]}',
        "seed": b"x" * 16,
    }
    with as_role("placet_worker"), transaction.atomic():
        for forged in (
            {"requested_by": world.bob, "parent": parent, "parent_position": 0},
            {"requested_by": world.alice},
            {"requested_by": world.alice, "parent": parent, "tenant": "another"},
        ):
            with pytest.raises(DatabaseError, match="run birth"), transaction.atomic():
                Run.objects.create(**(values | forged))
    with as_role("placet_web"), transaction.atomic():
        with pytest.raises(DatabaseError, match="run birth"), transaction.atomic():
            Run.objects.create(**values, requested_by=world.alice, parent=parent, parent_position=0)


def test_mail_and_claims_of_a_child_are_its_own(world: World) -> None:
    run = world.start(
        "parenting", children=[{"workflow": "listening", "input": {"signals": ["go"]}}]
    )
    world.settle()
    child = run.children.get()
    assert Claim.objects.filter(run__in=[run, child]).count() == 2
    assert Signal.objects.count() == 0
    assert world.run_now(run).waiting_for == "the run of listening that it started"

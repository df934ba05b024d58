"""Bulk: exactly what was counted, one event for each run, and nothing that stops the others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from runs import bulk, limits, steering
from runs.bulk import Filter
from runs.clock import database_now
from runs.errors import BulkRefused, SteeringRefused
from runs.models import Event, Run
from tests.harness import World, as_role

WHY = "The bank called."


def find(world: World, **asked: Any) -> bulk.Found:
    with as_role("placet_web"):
        return bulk.find(tenant=world.tenant, filter=Filter(**asked))


def apply(world: World, found: bulk.Found, verb: Any, **asked: Any) -> bulk.Applied:
    more = {key: asked.pop(key) for key in ("progress", "reason") if key in asked}
    with as_role("placet_web"):
        return bulk.apply(
            tenant=world.tenant,
            filter=Filter(**asked),
            fingerprint=found.fingerprint,
            verb=verb,
            actor="bob",
            **({"reason": WHY} | more),
        )


def kinds(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("kind", flat=True))


def test_a_filter_finds_by_all_that_it_says(world: World) -> None:
    adding = world.start("adding", numbers=[1])
    sleeping = world.start("sleeping", seconds=60, by=world.erin)
    ended = world.start("echoing", value=1)
    with as_role("placet_worker"):
        from runs import worker

        worker.advance(sleeping.pk)
        worker.advance(ended.pk)
    other = world.start("adding", numbers=[2], by=world.erin)
    before = timedelta(seconds=60)
    for asked, wanted in (
        ({"workflow": "adding"}, {adding, other}),
        ({"status": "waiting"}, {sleeping}),
        ({"requested_by": "erin"}, {sleeping, other}),
        ({"requested_by": "erin", "workflow": "adding"}, {other}),
        ({"waiting_for": "SLEEP to"}, {sleeping}),
        ({"created_from": database_now() - before}, {adding, sleeping, other}),
        ({"created_from": database_now()}, set()),
        ({"created_before": database_now() - before}, set()),
        ({"workflow": "echoing"}, set()),
    ):
        found = find(world, **asked)
        assert set(found.ids) == {run.pk for run in wanted}, asked
        assert found.count == len(wanted)


def test_a_filter_finds_nothing_of_another_tenant(world: World) -> None:
    world.start("adding", numbers=[1])
    with as_role("placet_web"):
        assert bulk.find(tenant="another", filter=Filter(workflow="adding")).count == 0


def test_what_was_counted_is_steered_with_one_event_each(world: World) -> None:
    runs = [world.start("adding", numbers=[n]) for n in range(3)]
    left = world.start("echoing", value=1)
    found = find(world, workflow="adding")
    seen: list[tuple[int, int]] = []
    applied = apply(
        world,
        found,
        "pause",
        workflow="adding",
        progress=lambda done, of: seen.append((done, of)),
    )
    assert set(applied.done) == {run.pk for run in runs}
    assert (applied.unchanged, applied.refused) == ((), ())
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for run in runs:
        event = Event.objects.get(run=run, kind="run.paused")
        assert (event.actor, bytes(event.body)) == ("bob", b'{"reason":"The bank called."}')
    assert kinds(left) == ["run.started"]


@pytest.mark.parametrize("verb", bulk.VERBS)
def test_every_verb_steers(world: World, verb: Any) -> None:
    run = world.start("adding", numbers=[1])
    if verb == "resume":
        with as_role("placet_web"):
            steering.pause(run=run, actor="bob", reason=WHY)
    applied = apply(world, find(world, workflow="adding"), verb, workflow="adding")
    assert applied.done == (run.pk,)
    said = {"cancel": "run.cancel_requested", "pause": "run.paused", "resume": "run.resumed"}
    assert kinds(run)[-1] == said.get(verb, "run.terminate_requested")


def test_nothing_is_done_when_the_filter_finds_other_runs_by_then(world: World) -> None:
    first = world.start("adding", numbers=[1])
    found = find(world, workflow="adding")
    world.start("adding", numbers=[2])
    with pytest.raises(BulkRefused, match="other runs than those that were counted: 2 by now"):
        apply(world, found, "cancel", workflow="adding")
    assert kinds(first) == ["run.started"]


def test_one_run_for_another_is_no_equal_count(world: World) -> None:
    first = world.start("adding", numbers=[1])
    found = find(world, workflow="adding")
    world.settle()
    second = world.start("adding", numbers=[2])
    with pytest.raises(BulkRefused, match="1 by now"):
        apply(world, found, "cancel", workflow="adding")
    assert world.run_now(first).status == "succeeded"
    assert kinds(second) == ["run.started"]


def test_a_run_that_refuses_does_not_stop_the_others(world: World) -> None:
    runs = [world.start("adding", numbers=[n]) for n in range(3)]
    with as_role("placet_web"):
        steering.pause(run=runs[1], actor="carol", reason=WHY)
    applied = apply(world, find(world, workflow="adding"), "resume", workflow="adding")
    assert applied.done == (runs[1].pk,)
    assert dict(applied.refused) == {
        runs[n].pk: "The run is ready, so there is nothing to resume." for n in (0, 2)
    }


def test_what_was_asked_before_is_told_apart(world: World) -> None:
    run = world.start("adding", numbers=[1])
    with as_role("placet_web"):
        steering.request_cancel(run=run, actor="carol")
    applied = apply(world, find(world, workflow="adding"), "cancel", workflow="adding")
    assert (applied.done, applied.unchanged) == ((), (run.pk,))
    assert kinds(run).count("run.cancel_requested") == 1


def test_a_run_that_ends_meanwhile_is_listed_with_its_refusal(world: World) -> None:
    runs = [world.start("adding", numbers=[n]) for n in range(2)]
    found = find(world, workflow="adding")

    def ends(done: int, _: int) -> None:
        if done == 1:
            from runs import worker

            with as_role("placet_worker"):
                worker.advance(runs[1].pk)

    applied = apply(world, found, "pause", workflow="adding", progress=ends)
    assert applied.done == (runs[0].pk,)
    assert [sentence for _, sentence in applied.refused] == [
        "The run has already succeeded, so there is nothing to pause."
    ]


def test_more_than_the_limit_is_refused_with_the_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BULK", 2)
    for number in range(3):
        world.start("adding", numbers=[number])
    with pytest.raises(BulkRefused, match="finds 3 runs; at most 2 are acted on at once"):
        find(world, workflow="adding")


def test_what_says_too_little_or_nothing_that_is_known_is_refused(world: World) -> None:
    run = world.start("adding", numbers=[1])
    with pytest.raises(BulkRefused, match="Say which runs"):
        find(world)
    found = find(world, workflow="adding")
    with pytest.raises(BulkRefused, match="one of cancel, pause, resume, terminate"):
        apply(world, found, "delete", workflow="adding")
    with pytest.raises(SteeringRefused, match="a reason is needed"):
        apply(world, found, "terminate", workflow="adding", reason=" ")
    assert kinds(run) == ["run.started"]


def test_a_bulk_action_holds_the_lock_of_one_run_at_a_time(world: World) -> None:
    world.start("adding", numbers=[1])
    found = find(world, workflow="adding")
    with as_role("placet_web"), transaction.atomic():
        with pytest.raises(RuntimeError, match="a transaction for each run"):
            bulk.apply(
                tenant=world.tenant,
                filter=Filter(workflow="adding"),
                fingerprint=found.fingerprint,
                verb="cancel",
                actor="bob",
            )

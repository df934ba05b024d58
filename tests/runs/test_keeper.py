"""The thread that renews claims: what stands still loses its process, and a lock only itself."""

from __future__ import annotations

import threading
import time

import pytest
from django.conf import settings
from django.db import connection

from runs import claims, limits, points, worker
from runs.claims import Held
from runs.models import Claim, Event, StepClaim
from runs.transitions import Outcome, finish_attempt, start_step
from tests.harness import World, admin, as_role, wait_for

CLAIM_SECONDS = 0.9


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PLACET_CLAIM_SECONDS", CLAIM_SECONDS)


def hold(world: World) -> Held:
    run = world.start("adding", numbers=[1])
    claim = claims.take_run(run.id)
    assert claim is not None
    return claim


def test_a_workflow_that_does_not_come_back_loses_its_process(
    world: World, brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(claims, "_end_process", ended.set)
    monkeypatch.setattr(limits, "STUCK_SECONDS", 2.0)
    with as_role("placet_worker"):
        claim = hold(world)
        with claims.keeper.keeping(claim):
            # One that goes on is renewed for as long as it does.
            for _ in range(5):
                time.sleep(0.5)
                claim.went_on_at = time.monotonic()
            assert not ended.is_set() and not claim.is_lost
            assert ended.wait(10)


def test_a_lock_that_somebody_holds_loses_one_claim_and_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PLACET_CLAIM_SECONDS", 6.0)
    with as_role("placet_worker"):
        stuck, other = hold(world), hold(world)
        with admin() as somebody, claims.keeper.keeping(stuck), claims.keeper.keeping(other):
            somebody.autocommit = False
            query = "SELECT 1 FROM runs_claim WHERE run_id = %s FOR UPDATE"
            somebody.execute(query, [stuck.id])
            time.sleep(7.0)
            assert stuck.is_lost
            assert not other.is_lost
            somebody.rollback()
    assert Claim.objects.get(run=other.id).expires_at is not None


def test_an_outcome_that_waits_for_a_lock_counts_while_its_claim_is_renewed(world: World) -> None:
    run = world.start("launching", name="x")
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        started = start_step(step.id, holder="somebody", seconds=0.5)
        held = Held("step", step.id, started.stepclaim.fence)
        outcome = Outcome(status="succeeded", event="step.succeeded", result=b"1")
        failed: list[Exception] = []

        def finish() -> None:
            try:
                finish_attempt(held, outcome)
            except Exception as error:
                failed.append(error)
            finally:
                connection.close()

        with admin() as somebody:
            somebody.autocommit = False
            query = "SELECT 1 FROM runs_claim WHERE run_id = %s FOR UPDATE"
            somebody.execute(query, [run.id])
            thread = threading.Thread(target=finish)
            thread.start()
            with admin() as keeper:
                waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                wait_for(lambda: keeper.execute(waits).fetchone() == (1,))
                keeper.execute("UPDATE runs_stepclaim SET expires_at = now() + interval '1 minute'")
            time.sleep(0.6)
            somebody.rollback()
        thread.join(10)
    assert failed == []
    step.refresh_from_db()
    assert step.status == "succeeded"
    assert StepClaim.objects.get(step=step).expires_at is None


def test_a_run_that_was_paused_and_resumed_in_its_first_slice_repeats_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused while its first step is recorded, resumed before the worker has looked."""
    run = world.start("adding", numbers=[1, 2])

    once = {"calling:add": "now()", "committed:step.succeeded": "NULL"}

    def steer(point: str) -> None:
        value = once.pop(point, None)
        if value is not None:
            with admin() as people:
                people.execute("SET session_replication_role = replica")
                people.execute(
                    f"UPDATE runs_run SET pause_requested_at = {value} WHERE id = %s", [run.id]
                )

    with as_role("placet_worker"):
        monkeypatch.setattr(points, "observer", steer)
        assert worker.advance(run.id)
    assert world.run_now(run).status == "succeeded"
    ended = Event.objects.filter(run=run, kind="step.succeeded").order_by("seq")
    assert list(ended.values_list("position", flat=True)) == [0, 1]

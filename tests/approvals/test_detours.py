"""What attackers try by SQL around the engine: pausing, answering, completing, starting runs."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import DatabaseError

from approvals.errors import NotEligible
from runs import forks, schedules
from runs.models import Run, Signal, Step, new_id
from tests.approvals.attacks import forged, proper_seal, refusal
from tests.harness import World, as_role
from tests.steered import cancel, pause

RESUME = "UPDATE runs_run SET status = 'ready', pause_requested_at = NULL"


def test_a_worker_does_not_resume_a_run_by_asking_for_its_end_and_taking_that_back(
    world: World,
) -> None:
    run = world.start("adding", numbers=[1])
    pause(run)
    said = refusal(
        world,
        "placet_worker",
        (f"{RESUME}, cancel_requested_at = now() WHERE id = %s", [run.id]),
        ("UPDATE runs_run SET cancel_requested_at = NULL WHERE id = %s", [run.id]),
    )
    assert "run end: that its end was asked for is not taken back" in said
    assert world.run_now(run).status == "paused"


@pytest.mark.parametrize("change", ["cancel_requested_at = NULL", "cancel_requested_by = 'engine'"])
def test_a_worker_does_not_take_back_what_a_person_asked_for(world: World, change: str) -> None:
    run = world.start("adding", numbers=[1])
    cancel(run)
    said = refusal(
        world, "placet_worker", (f"UPDATE runs_run SET {change} WHERE id = %s", [run.id])
    )
    assert "run end" in said


@pytest.mark.parametrize("role", ["placet_worker", "placet_executor", "placet_gatekeeper"])
def test_what_was_paused_while_it_is_cancelled_only_people_resume(world: World, role: str) -> None:
    run = world.start("adding", numbers=[1])
    cancel(run)
    pause(run)
    assert world.run_now(run).status == "paused"
    said = refusal(world, role, ("UPDATE runs_run SET status = 'ready' WHERE id = %s", [run.id]))
    assert "only people resume a run" in said


def born(world: World, **of: Any) -> Run:
    common = {"version": 1, "input": b'{"numbers":[1]}', "seed": b"x" * 16, "workflow": "adding"}
    return Run.objects.create(id=new_id(), tenant=world.tenant, **(common | of))


@pytest.mark.parametrize("link", ["parent", "continued_from"])
def test_a_worker_starts_nothing_in_the_name_of_who_requested_a_run_that_has_ended(
    world: World, link: str
) -> None:
    run = world.start("adding", numbers=[1])
    world.settle()
    place = {"parent_position": 7} if link == "parent" else {}
    with as_role("placet_worker"), pytest.raises(DatabaseError, match="nobody asked for this run"):
        born(world, requested_by=world.alice, **{link: run}, **place)


@pytest.mark.parametrize("stop", ["pause", "delete"])
def test_a_worker_starts_no_run_of_a_schedule_that_people_stopped(world: World, stop: str) -> None:
    with as_role("placet_web"):
        made = schedules.create_schedule(
            tenant=world.tenant,
            name="sums",
            workflow="adding",
            input={"numbers": [1]},
            owner=world.alice,
            interval_seconds=3600,
        )
        if stop == "pause":
            schedules.pause_schedule(schedule=made, reason="Not now.")
        else:
            schedules.delete_schedule(schedule=made)
    with as_role("placet_worker"), pytest.raises(DatabaseError, match="nobody asked for this run"):
        born(world, requested_by=world.alice, schedule=made, scheduled_for=made.created_at)


def test_a_worker_answers_no_question_of_people(world: World) -> None:
    run = world.start("asking")
    world.settle()
    with as_role("placet_worker"), pytest.raises(DatabaseError, match="signal answer"):
        Signal.objects.create(
            tenant=world.tenant,
            run=run,
            name="answer:0",
            dedup_key="answer:0",
            payload=b'{"count":2}',
            sender=f"run {run.id}",
        )


@pytest.mark.parametrize("shown", [None, "guessed", "its hash"])
def test_web_completes_no_step_by_sql_without_the_token(world: World, shown: str | None) -> None:
    run = world.start("calling", tool="hand_over", arguments={})
    world.settle()
    (step,) = Step.objects.filter(run=run, status="waiting").select_related("stepclaim")
    with psycopg.connect(world.servers.database_url("placet_web")) as web:
        if shown is not None:
            kept = bytes(step.stepclaim.token_hash or b"").hex()
            said = kept if shown == "its hash" else shown
            web.execute("SELECT set_config('placet.completion', %s, true)", [said])
        with pytest.raises(psycopg.Error, match="does not wait to be completed"):
            web.execute(
                "INSERT INTO runs_completion (id, tenant, step_id, attempt, result, writer)"
                " VALUES (%s, %s, %s, %s, '1', '')",
                [new_id(), step.tenant, step.id, step.attempt],
            )


def test_whoever_requested_a_run_does_not_consent_to_what_a_fork_of_it_pays(world: World) -> None:
    run = world.start("paying", by=world.bob, amounts=[5000])
    world.settle()
    with as_role("placet_web"):
        first = forks.fork(run=run, at=0, requested_by=world.alice)
        made = forks.fork(run=first, at=0, requested_by=world.erin)
    world.settle()
    (gate,) = world.gates(made)
    assert gate.requester_id == world.erin.pk
    with pytest.raises(NotEligible, match="You requested a run that this one was forked from"):
        world.decide(gate, world.bob)
    seal = proper_seal(gate, world.bob)
    said = refusal(world, "placet_web", forged(gate, world.bob, seal=seal))
    assert "decision requester" in said
    world.settle()
    assert world.run_now(made).status == "waiting"
    world.decide(gate, world.carol)
    world.settle()
    assert world.run_now(made).status == "succeeded"


def test_a_fork_whose_requesters_are_all_who_could_consent_is_held_and_says_so(
    world: World,
) -> None:
    run = world.start("paying", by=world.bob, amounts=[5000])
    world.settle()
    with as_role("placet_web"):
        made = forks.fork(run=run, at=0, requested_by=world.carol)
    world.settle()
    assert world.gates(made) == []
    step = Step.objects.get(run=made, is_money=True)
    assert "of whom 0 may decide about this request" in step.held_because

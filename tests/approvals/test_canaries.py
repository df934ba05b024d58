"""Canaries: they look like requests, can never be paid, and count for nothing else."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import connection

from approvals import canaries, consent, habits, pace, planting, tasks
from approvals.history import Kind, history_of
from approvals.models import Canary, Clearance, Freeze, Gate, Notice
from approvals.notices import sweep as sweep_notices
from console.celery import sweeps_of
from runs import canonical, effects, forks, steering
from runs.declare import TOOLS
from runs.errors import ConsentMismatch, ForkRefused
from runs.lifecycle import start_run
from runs.models import Event, Run, Step, new_id
from tests.approvals import former, planted
from tests.approvals.attacks import ALL_PROCESSES, Attack, claim, clearing, refusal
from tests.harness import World, admin, as_role


def settled(world: World, gate: Gate) -> Gate:
    world.settle()
    gate.refresh_from_db()
    return gate


# Planting


def test_a_canary_is_modelled_on_a_payment_and_has_one_flaw(world: World) -> None:
    gate = planted.planted(world)
    canary = Canary.objects.get()
    former_gate = canary.model
    assert (gate.status, gate.tool, gate.run.workflow) == ("open", "transfer", "transferring")
    assert gate.run.agent == former_gate.run.agent == "clerk"
    assert gate.requester_id == former_gate.requester_id
    assert gate.payee_name == former_gate.payee_name == "ACME"
    differs = (gate.amount_minor != former_gate.amount_minor, gate.payee != former_gate.payee)
    assert differs == (canary.flaw == "amount", canary.flaw == "account")
    assert canary.writer == "placet_gatekeeper"


def test_its_run_is_as_old_and_as_traced_as_that_of_its_model(world: World) -> None:
    gate = planted.planted(world)
    model = Canary.objects.get().model
    for one in (gate, model):
        first, *_ = Step.objects.filter(run=one.run).order_by("position")
        assert first.created_at >= one.run.created_at
        events = Event.objects.filter(run=one.run, kind__in=("run.waiting", "step.held"))
        assert {len(event.trace_id) for event in events} == {32}


def test_ten_times_the_amount_and_another_account_are_told_as_facts(world: World) -> None:
    former_gate = planted.model(world, 9870)
    for _ in range(2):
        former.made(world, 9870)
    with as_role("placet_gatekeeper"):
        dear = planting._planted(former_gate, "amount")
        other = planting._planted(former_gate, "account")
    assert dear is not None and other is not None
    assert dear.amount_minor == 98700
    assert other.payee != former_gate.payee and len(other.payee) == len(former_gate.payee)
    assert {Kind.FACTOR} == {f.kind for f in history_of(dear).facts if f.is_unusual}
    changed = {f.kind for f in history_of(other).facts if f.is_unusual}
    assert changed == {Kind.FIRST, Kind.CHANGED}


def test_without_a_payment_there_is_no_canary(world: World) -> None:
    former.prepare()
    planted.wanted(world)
    assert planted.plant(world) is None
    assert not Canary.objects.exists()


@pytest.mark.parametrize("then", [{"allow": {"sample_percent": 0}}, {"block": {"reason": "No."}}])
def test_where_the_policy_asks_nobody_nothing_is_planted(
    world: World, then: dict[str, Any]
) -> None:
    planted.model(world)
    runs = Run.objects.count()
    planted.wanted(world, 3, planted.TRANSFERS | {"then": then})
    assert planted.plant(world) is None
    assert (Canary.objects.count(), Run.objects.count()) == (0, runs)


def test_as_many_as_the_policy_says_in_seven_days_one_after_the_other(world: World) -> None:
    planted.model(world)
    planted.wanted(world, 2)
    lots = planting.Planting(draw=lambda: 0.0)
    made = []
    with as_role("placet_gatekeeper"):
        assert lots.sweep() == 0, "no time has passed in which it could have fallen"
    for _ in range(4):
        with as_role("placet_gatekeeper"):
            made.append((lots.sweep(), lots.sweep()))
        for gate in Gate.objects.filter(status="open"):
            world.decide(gate, world.bob, "deny")
        world.settle()
    assert made == [(1, 0), (1, 0), (0, 0), (0, 0)]
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_canary SET planted_at = now() - interval '7 days'")
    with as_role("placet_gatekeeper"):
        assert lots.sweep() == 1


def test_a_lot_that_does_not_fall_plants_nothing(world: World) -> None:
    planted.model(world)
    lots = planting.Planting(draw=lambda: 0.999)
    with as_role("placet_gatekeeper"):
        assert [lots.sweep(), lots.sweep()] == [0, 0]
    assert not Canary.objects.exists()


def test_the_chance_grows_with_time_and_number_alone() -> None:
    week = planting.WEEK_SECONDS
    assert planting.chance(20, 0.0) == 0.0
    assert planting.chance(1, 5.0) == pytest.approx(5.0 / week, rel=1e-4)
    assert planting.chance(20, 5.0) == pytest.approx(100.0 / week, rel=1e-4)
    # Memoryless: that nothing fell yet tells nothing about what comes.
    half = 1 - planting.chance(3, week / 2)
    assert half * half == pytest.approx(1 - planting.chance(3, week))


def test_the_gatekeeper_sweeps_for_canaries(world: World) -> None:
    planted.model(world)
    _, sweeps = sweeps_of("gatekeeper")
    owners = {type(getattr(one, "_sweep", one).__self__) for one in sweeps if hasattr(
        getattr(one, "_sweep", one), "__self__")}  # fmt: skip
    assert planting.Planting in owners


def test_another_account_has_the_form_of_the_first_and_belongs_to_nobody() -> None:
    for account in (former.ACCOUNT, former.OTHER_ACCOUNT, "GB29 NWBK 6016 1331 9268 19"):
        assert planting._fits(account)
        other = planting.another_account(account)
        assert other is not None and other != account and other[:4] == account[:4]
        assert not planting._fits(other)
    assert planting.another_account("no digits") is None


# It can never be paid


def test_nobody_decides_it_into_a_payment(world: World) -> None:
    gate = planted.planted(world)
    world.decide(gate, world.bob)
    assert settled(world, gate).status == "withdrawn"
    step = Step.objects.get(pk=gate.step_id)
    assert (step.status, step.attempt, step.clearance_id) == ("cancelled", 0, None)
    assert not Clearance.objects.filter(gate=gate).exists()
    assert Run.objects.get(pk=gate.run_id).status == "cancelled"


def test_lock_2_canary_the_gatekeeper_cannot_clear_it_with_every_approval(world: World) -> None:
    gate = planted.planted(world)
    world.decide(gate, world.bob)
    answer = refusal(world, "placet_gatekeeper", *clearing(gate))
    assert "lock 2 canary: nothing is ever cleared on a canary" in answer


@pytest.fixture
def lock_taken_out() -> Any:
    """Takes triggers out of tables, until the test is over."""
    taken: list[tuple[str, str]] = []

    def take(table: str, trigger: str) -> None:
        taken.append((table, trigger))
        with as_role("postgres"), connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")

    yield take
    for table, trigger in taken:
        with as_role("postgres"), connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")


def test_the_inert_step_is_not_started_even_when_it_was_cleared(
    world: World, lock_taken_out: Any
) -> None:
    lock_taken_out("approvals_clearance", "approvals_clearance_canary")
    gate = planted.planted(world)
    world.decide(gate, world.bob)
    answer = refusal(world, "placet_gatekeeper", *clearing(gate))
    assert "inert step: nothing of an inert run is cleared or started" in answer


def test_the_executor_refuses_a_canary_by_itself_when_every_lock_of_the_database_is_gone(
    world: World, lock_taken_out: Any
) -> None:
    lock_taken_out("approvals_clearance", "approvals_clearance_canary")
    lock_taken_out("runs_step", "runs_step_inert")
    gate = planted.planted(world)
    world.decide(gate, world.bob)
    with psycopg.connect(world.servers.database_url("placet_gatekeeper")) as forger:
        for statement, values in clearing(gate):
            forger.execute(statement, values)
    step = Step.objects.select_related("run", "declaration").get(pk=gate.step_id)
    tool, arguments = TOOLS["transfer"], canonical.decode(step.arguments)
    with as_role("placet_executor"):
        with pytest.raises(ConsentMismatch, match="a canary, a test; nothing was sent"):
            consent.verify(step, tool, arguments)
        effects.drain()
    step.refresh_from_db()
    assert step.status == "failed"


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_no_process_claims_it_or_its_run(world: World, role: str) -> None:
    gate = planted.planted(world)
    words = "permission denied|step arrow|needs_clearance|inert|only the executor|spend"
    answer = refusal(world, role, claim(gate))
    assert any(word in answer for word in words.split("|")), answer
    run = ("UPDATE runs_run SET status = 'running' WHERE id = %s", [gate.run_id])
    answer = refusal(world, role, run)
    assert "permission denied" in answer or "runs_run_inert_is_never_run" in answer, answer
    if role != "placet_gatekeeper":
        ended = ("UPDATE runs_run SET status = 'cancelled' WHERE id = %s", [gate.run_id])
        answer = refusal(world, role, ended)
        assert "only the gatekeeper ends an inert run" in answer or "permission" in answer


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_what_is_a_canary_stays_one(world: World, role: str) -> None:
    planted.planted(world)
    answer = refusal(world, role, ("DELETE FROM approvals_canary", []))
    assert "permission denied" in answer
    answer = refusal(world, role, ("UPDATE runs_run SET is_inert = false", []))
    assert "permission denied" in answer


def test_the_owner_cannot_rewrite_it_either(world: World) -> None:
    gate = planted.planted(world)
    answer = refusal(world, "placet_owner", ("DELETE FROM approvals_canary", []))
    assert "append-only" in answer
    thawed = ("UPDATE runs_run SET is_inert = false WHERE id = %s", [gate.run_id])
    assert "run identity" in refusal(world, "placet_owner", thawed)


@pytest.mark.parametrize("role", ["placet_web", "placet_worker"])
def test_only_the_gatekeeper_starts_inert_runs(world: World, role: str) -> None:
    answer = refusal(world, role, inert(world, "page-1"))
    assert f"{role.removeprefix('placet_')} does not start inert runs" in answer


def test_an_inert_run_takes_no_key_under_which_somebody_starts_a_run(world: World) -> None:
    answer = refusal(world, "placet_gatekeeper", inert(world, "invoice-4711"))
    assert "takes no key that somebody could ask with" in answer
    statement, values = inert(world, "page-1")
    with psycopg.connect(world.servers.database_url("placet_gatekeeper")) as gatekeeper:
        gatekeeper.execute(statement, values)


def inert(world: World, key: str) -> Attack:
    return (
        "INSERT INTO runs_run (id, tenant, workflow, version, status, input, requested_by_id,"
        " seed, waiting_for, progress_done, progress_total, progress_note, cancel_requested_by,"
        " is_inert, idempotency_key) VALUES (%s, %s, 'paying', 1, 'waiting', '{}', %s, '', 'x',"
        " 0, 0, '', '', true, %s)",
        [new_id(), world.tenant, world.alice.pk, key],
    )


def test_the_gatekeeper_declares_no_step_of_a_run_that_can_be_run(world: World) -> None:
    gate = planted.planted(world)
    (real,) = former.ask(world, former.payment(500))
    copy = (
        "INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money,"
        " is_remote, declaration_id, status, arguments, digest, key, attempt, failures,"
        " held_because) SELECT %s, tenant, %s, 77, kind, name, effect, is_money, is_remote,"
        " declaration_id, 'held', arguments, digest, 'forged', 0, 0, '' FROM runs_step"
        " WHERE id = %s"
    )
    values = [new_id(), real.run_id, gate.step_id]
    answer = refusal(world, "placet_gatekeeper", (copy, values))
    assert "the gatekeeper declares held steps of inert runs alone" in answer
    answer = refusal(world, "placet_worker", (copy, [new_id(), gate.run_id, gate.step_id]))
    assert "nothing is asked for in an inert run by others" in answer
    with psycopg.connect(world.servers.database_url("placet_gatekeeper")) as gatekeeper:
        gatekeeper.execute(copy, [new_id(), gate.run_id, gate.step_id])


def test_the_gatekeeper_ends_no_other_run(world: World) -> None:
    planted.model(world)
    (real,) = former.ask(world, former.payment(500))
    ended = ("UPDATE runs_run SET finished_at = now() WHERE id = %s", [real.run_id])
    assert "may only wake a run, not end it" in refusal(world, "placet_gatekeeper", ended)


def test_more_than_the_policy_wants_cannot_be_planted_by_the_gatekeeper(world: World) -> None:
    former_gate = planted.model(world)
    planted.wanted(world, 1)
    with as_role("placet_gatekeeper"):
        assert planting._planted(former_gate, "amount") is not None
        with pytest.raises(Exception, match="canary policy: the policy wants 1 canaries"):
            planting._planted(former_gate, "amount")
    assert Canary.objects.count() == 1


def test_a_real_step_is_not_made_a_canary(world: World) -> None:
    former_gate = planted.model(world)
    (real,) = former.ask(world, former.payment(500))
    named = (
        "INSERT INTO approvals_canary (step_id, tenant, flaw, model_id, writer)"
        " VALUES (%s, %s, 'amount', %s, '')",
        [real.step_id, world.tenant, former_gate.id],
    )
    answer = refusal(world, "placet_gatekeeper", named)
    assert "canary step: a canary is a held step of a run that is never run" in answer


def test_nothing_is_forked_from_it(world: World) -> None:
    gate = planted.planted(world)
    with as_role("placet_web"), pytest.raises(ForkRefused, match="This run cannot be forked"):
        forks.fork(run=gate.run, at=0, requested_by=world.alice)
    statement = (
        "INSERT INTO runs_run (id, tenant, workflow, version, status, input, requested_by_id,"
        " seed, waiting_for, progress_done, progress_total, progress_note, cancel_requested_by,"
        " forked_from_id, forked_at) SELECT %s, tenant, workflow, version, 'ready', input,"
        " requested_by_id, seed, '', 0, 0, '', '', id, 0 FROM runs_run WHERE id = %s"
    )
    answer = refusal(world, "placet_web", (statement, [new_id(), gate.run_id]))
    assert "nothing comes from an inert run" in answer


# How it ends


@pytest.mark.parametrize(
    ("verdict", "is_caught"), [("approve", False), ("deny", True), ("changes", True)]
)
def test_the_first_decision_ends_it_and_is_told_at_once(
    world: World, verdict: str, is_caught: bool
) -> None:
    gate = planted.planted_with(world, "amount")
    with as_role("placet_web"):
        assert canaries.told_to(gate, world.bob) is None
    world.decide(gate, world.bob, verdict, "It is odd." if is_caught else "")
    with as_role("placet_web"):
        told = canaries.told_to(gate, world.bob)
        assert canaries.told_to(gate, world.carol) is None, "Carol is still tested"
    assert told is not None and told.is_caught is is_caught
    assert "ten times the 98.70 EUR that were paid before" in told.text
    assert settled(world, gate).status == "withdrawn"
    with as_role("placet_web"):
        after = canaries.told_to(gate, world.carol)
    assert after is not None and after.is_caught is None
    assert Run.objects.get(pk=gate.run_id).error == {"kind": "Canary", "message": canaries.ENDED}


def test_one_voice_of_two_ends_it_though_the_hint_of_it_was_lost(world: World) -> None:
    former_gate = planted.model(world)
    consent = {"consent": {"group": "payments", "count": 2}}
    planted.wanted(world, 3, planted.TRANSFERS | {"then": consent})
    with as_role("placet_gatekeeper"):
        gate = planting._planted(former_gate, "amount")
    assert gate is not None
    world.decide(gate, world.bob)
    with as_role("placet_gatekeeper"):
        assert tasks.LostGates().sweep() == 0
        assert planting.Planting(draw=lambda: 0.999).sweep() == 1
    gate.refresh_from_db()
    assert gate.status == "withdrawn"


def test_a_canary_that_nobody_decided_about_expires(world: World) -> None:
    gate = planted.planted(world)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_gate SET expires_at = now() WHERE id = %s", [gate.id])
    assert settled(world, gate).status == "expired"
    with as_role("placet_gatekeeper"):
        sweep_notices()
    assert not Notice.objects.filter(gate=gate, kind="expired").exists()


def test_a_run_of_a_canary_is_steered_as_any_other_and_ends_by_the_gatekeeper(
    world: World,
) -> None:
    gate = planted.planted(world)
    run = gate.run
    with as_role("placet_web"):
        steering.pause(run=run, actor="alice", reason="A look.")
        assert world.run_now(run).status == "paused"
        steering.resume(run=run, actor="alice")
        assert world.run_now(run).status == "waiting"
    world.settle()
    with as_role("placet_web"):
        steering.request_cancel(run=run, actor="alice")
    world.settle()
    assert settled(world, gate).status == "open", "no worker ends it"
    with as_role("placet_gatekeeper"):
        assert planting.Planting(draw=lambda: 0.999).sweep() == 1
    assert settled(world, gate).status == "withdrawn"
    assert world.run_now(run).status == "cancelled"


# It counts for nothing else


def test_it_is_in_no_sum_and_no_figure_of_a_real_request(world: World) -> None:
    former_gate = planted.model(world)
    summed = {"by": "tenant", "currency": "EUR", "window_seconds": 86400, "above_minor": 20000}
    blocked = {
        "name": "Too much",
        "when": {"tools": ["transfer"], "sums": [summed]},
        "then": {"block": {"reason": "Too much."}},
    }
    planted.wanted(world, 3, planted.TRANSFERS)
    with as_role("placet_gatekeeper"):
        gate = planting._planted(former_gate, "amount")
    assert gate is not None and gate.amount_minor == 98700
    planted.wanted(world, 3, blocked, planted.TRANSFERS)
    (real,) = former.ask(world, former.payment(15000))
    assert real.status == "open"
    said = {fact.kind: fact for fact in history_of(real).facts}
    assert said[Kind.SUM].waiting_minor == 0
    assert Kind.ASKED_AGAIN not in said
    world.decide(real, world.bob)
    assert settled(world, real).status == "approved"
    assert real.step.status == "succeeded"


def test_its_denials_freeze_nothing(world: World) -> None:
    planted.model(world)
    tripping = [{"scope": "everything", "denials": 2, "within_seconds": 3600}]
    world.publish(planted.TRANSFERS, canaries={"per_week": 3}, freezes=tripping)
    gate = planted.plant(world)
    assert gate is not None
    world.decide(gate, world.bob, "deny", "Odd.")
    (real,) = former.ask(world, former.payment(500))
    world.decide(real, world.bob, "deny", "No.")
    world.settle()
    assert not Freeze.objects.exists()
    (second,) = former.ask(world, former.payment(600))
    world.decide(second, world.bob, "deny", "No.")
    world.settle()
    assert Freeze.objects.count() == 1


def test_its_end_is_no_news_but_its_opening_is(world: World) -> None:
    gate = planted.planted(world)
    with as_role("placet_gatekeeper"):
        sweep_notices()
    world.decide(gate, world.bob, "deny", "Odd.")
    world.settle()
    with as_role("placet_gatekeeper"):
        sweep_notices()
    assert list(Notice.objects.filter(gate=gate).values_list("kind", flat=True)) == ["opened"]


def test_a_reviewer_has_the_canaries_that_they_caught_and_no_other_figure(world: World) -> None:
    planted.model(world)
    for verdict in ("deny", "approve"):
        gate = planted.plant(world)
        assert gate is not None
        world.decide(gate, world.bob, verdict)
        world.settle()
    whole = habits.habits_of(tenant=world.tenant, days=30, person=world.bob)
    bob = next(one for one in whole if one.person and not one.rule)
    assert (bob.decisions, bob.approvals) == (1, 1), "the payment that they are modelled on"
    assert (bob.canaries, bob.caught, bob.caught_percent) == (2, 1, 50)


def test_a_canary_without_any_other_decision_has_figures_too(world: World) -> None:
    gate = planted.planted(world)
    world.decide(gate, world.carol, "deny", "Odd.")
    carol = habits.habits_of(tenant=world.tenant, days=30, person=world.carol)[0]
    assert (carol.decisions, carol.approve_percent, carol.fast_percent) == (0, 0, 0)
    assert (carol.canaries, carol.caught_percent) == (1, 100)


def test_what_the_run_had_read_before_is_copied_and_its_deadline_is_as_far_away(
    world: World,
) -> None:
    planted.wanted(world, 3, planted.TRANSFERS | {"when": {"tools": ["pay"]}})
    with as_role("placet_web"):
        run, _ = start_run(
            tenant=world.tenant,
            workflow="paying",
            input={"amounts": [500]},
            requested_by=world.alice,
            deadline_seconds=3600,
        )
    world.settle()
    world.approve_all(run)
    world.settle()
    gate = planted.plant(world)
    assert gate is not None
    paying, canary = world.steps(run), world.steps(gate.run)
    names = [step.name for step in canary]
    assert names == [step.name for step in paying[:2]] == ["add", "pay"]
    assert canary[0].result == paying[0].result and canary[1].result is None
    assert Event.objects.filter(run=gate.run, kind="step.succeeded", position=0).count() == 1
    deadline = Run.objects.get(pk=gate.run_id).deadline_at
    assert deadline is not None and 3590 < (deadline - gate.opened_at).total_seconds() < 3610


def test_what_somebody_approved_fast_does_not_sum_up_canaries(world: World) -> None:
    gate = planted.planted_with(world, "amount")
    world.decide(gate, world.bob)
    approved = pace.pace_of(world.bob)
    assert len(approved.approvals) == 2, "it counts where the database counts as well"
    assert approved.sums == {"EUR": 9870}


def test_the_journal_of_a_canary_looks_like_the_one_it_is_modelled_on(world: World) -> None:
    gate = planted.planted(world)
    canary = Canary.objects.get()
    own = Event.objects.filter(run=gate.run).order_by("seq")
    others = Event.objects.filter(run=canary.model.run).order_by("seq")[: len(own)]
    shape = [(one.seq, one.kind, one.actor, one.position) for one in own]
    assert shape == [(one.seq, one.kind, one.actor, one.position) for one in others]
    assert {one.writer for one in own} == {"placet_gatekeeper"}, "the database is not deceived"

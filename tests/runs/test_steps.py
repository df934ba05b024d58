"""Steps: what is recorded once, retried, refused, in doubt, or set aside."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connection

from runs import (
    claims,
    effects,
    holders,
    journal,
    limits,
    outcomes,
    proofs,
    recovery,
    transitions,
    worker,
)
from runs.clock import database_now
from runs.declare import WORKFLOWS, Workflow
from runs.errors import CredentialRefused, CredentialUnavailable, Fenced
from runs.models import Effect, Event, Run, Step
from runs.transitions import Outcome
from tests import zoo
from tests.harness import World, admin, as_role
from tests.zoo import ledger


def set_switch(name: str, times: int) -> None:
    (zoo.world_dir() / name).write_text(str(times))


def settle_retries(world: World, run: Run) -> None:
    """Settles until the run has ended or waits for a person; retries are due in milliseconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        world.settle()
        now = world.run_now(run)
        steps = {step.status for step in world.steps(run)}
        if now.finished_at or steps & {"in_doubt", "paused"} or now.status == "quarantined":
            return
        time.sleep(0.02)
    raise AssertionError(f"The run did not come to rest: {world.run_now(run).waiting_for}")


def test_a_safe_step_that_fails_twice_is_tried_a_third_time(world: World) -> None:
    run = world.start("adding", numbers=[1, 2])
    set_switch("add-fails", 2)
    settle_retries(world, run)
    assert world.result(run) == 3
    first = world.steps(run)[0]
    assert (first.attempt, first.failures) == (3, 2)
    assert [entry["attempt"] for entry in ledger("add")] == [1, 2, 3, 1]
    kinds = [event.kind for event in Event.objects.filter(run=run).order_by("seq")]
    assert kinds.count("step.attempt_failed") == 2


def test_spent_retries_of_a_safe_step_wait_for_a_person_in_words(world: World) -> None:
    run = world.start("adding", numbers=[1])
    set_switch("add-fails", 99)
    settle_retries(world, run)
    now = world.run_now(run)
    assert (now.status, world.steps(run)[0].status) == ("waiting", "paused")
    assert now.waiting_for == "a person to say how add goes on: its attempts are spent"
    assert now.waiting_since is not None
    assert len(ledger("add")) == 3


def test_a_refusal_is_not_retried(world: World) -> None:
    run = world.start("refusing")
    world.settle()
    assert world.run_now(run).error == {"kind": "StepFailed", "message": "the world said no"}
    assert world.steps(run)[0].attempt == 1


def test_a_keyed_effect_is_retried_under_the_same_key(world: World) -> None:
    run = world.start("registering", names=["a"])
    set_switch("register-drops", 1)
    settle_retries(world, run)
    assert world.result(run) == [{"name": "a"}]
    calls = ledger("register-called")
    assert [call["attempt"] for call in calls] == [1, 2]
    assert len({call["key"] for call in calls}) == 1
    assert len(ledger("registered")) == 1
    assert Effect.objects.get(tenant=world.tenant).status == "succeeded"


def test_a_keyed_effect_with_spent_retries_is_in_doubt_not_failed(world: World) -> None:
    run = world.start("registering", names=["a"])
    set_switch("register-fails", 99)
    settle_retries(world, run)
    assert world.steps(run)[0].status == "in_doubt"
    now = world.run_now(run)
    assert now.status == "waiting"
    assert now.waiting_for == ("a person to say what became of register: its outcome is in doubt")
    assert Effect.objects.get(tenant=world.tenant).status == "in_doubt"


def test_a_once_effect_that_breaks_off_is_in_doubt_at_once(world: World) -> None:
    run = world.start("launching", name="x")
    set_switch("launch-drops", 1)
    settle_retries(world, run)
    assert world.steps(run)[0].status == "in_doubt"
    assert len(ledger("launched")) == 1


@pytest.mark.parametrize(
    ("workflow", "input", "status"),
    [
        ("launching", {"name": "x"}, "in_doubt"),
        ("registering", {"names": ["x"]}, "succeeded"),
    ],
)
def test_an_executor_lost_in_an_effect_is_taken_over_by_its_class(
    world: World, workflow: str, input: dict[str, Any], status: str
) -> None:
    run = world.start(workflow, **input)
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        transitions.start_step(step.id, holder="the lost one", seconds=0.01)
        time.sleep(0.02)
        assert recovery.recover_lost_steps() == 1
        assert recovery.recover_lost_steps() == 0
    world.settle()
    assert world.steps(run)[0].status == status


def test_a_thawed_executor_writes_nothing_and_its_late_outcome_is_refused(world: World) -> None:
    run = world.start("registering", names=["x"])
    world.work()
    (step,) = world.steps(run)
    late = Outcome(status="failed", event="step.failed", error={"kind": "x", "message": "x"})
    with as_role("placet_executor"):
        fence = transitions.start_step(
            step.id, holder="the frozen one", seconds=0.01
        ).stepclaim.fence
        frozen = claims.Held("step", step.id, fence)
        time.sleep(0.02)
        recovery.recover_lost_steps()
        with pytest.raises(Fenced, match="is lost"):
            transitions.finish_attempt(frozen, late)
        effects.drain()
        with pytest.raises(Fenced, match="is lost"):
            transitions.finish_attempt(frozen, late)
    assert world.steps(run)[0].status == "succeeded"


def test_a_thawed_worker_writes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frozen worker goes on after another has taken its run over: every write is refused."""
    run = world.start("adding", numbers=[1, 2])
    with as_role("placet_worker"):
        monkeypatch.setattr("django.conf.settings.PLACET_CLAIM_SECONDS", 0.01)
        frozen = claims.take_run(run.id)
        assert frozen is not None
        time.sleep(0.02)
        monkeypatch.setattr("django.conf.settings.PLACET_CLAIM_SECONDS", 30)
        taken = claims.take_run(run.id)
        assert taken is not None and taken.fence == frozen.fence + 1
        before = Event.objects.filter(run=run).count()
        with pytest.raises(Fenced, match="is lost"):
            transitions.finish_run(frozen, "failed", error={"kind": "x", "message": "x"})
        with pytest.raises(Fenced, match="is lost"):
            transitions.finish_run(frozen, "succeeded", result=b"1")
        with pytest.raises(Fenced, match="is lost"):
            transitions.park(frozen, declared=[], awaited=[], waiting_for="x")
        with pytest.raises(Fenced, match="is lost"):
            worker.show_progress(frozen, 1, 1, "")
        with pytest.raises(Fenced, match="is lost"):
            worker._slice(frozen)
        assert Event.objects.filter(run=run).count() == before
    assert len(ledger("add")) == 1, "a safe step may run again, but its outcome is not kept"


def test_without_the_fence_check_the_thawed_worker_would_write(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin with the mechanism removed."""
    unfenced = journal.APPEND_FENCED.replace("fence = %s AND expires_at", "%s > 0 AND now()")
    monkeypatch.setattr(
        journal, "APPEND_FENCED", unfenced.replace("> clock_timestamp()", "> '-infinity'")
    )
    run = world.start("adding", numbers=[])
    with as_role("placet_worker"):
        monkeypatch.setattr("django.conf.settings.PLACET_CLAIM_SECONDS", 0.01)
        frozen = claims.take_run(run.id)
        assert frozen is not None
        time.sleep(0.02)
        claims.take_run(run.id)
        transitions.finish_run(frozen, "failed", error={"kind": "x", "message": "x"})
    assert world.run_now(run).status == "failed"


def test_a_claim_is_kept_alive_while_a_step_takes_longer_than_it_lasts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.conf.settings.PLACET_CLAIM_SECONDS", 2.0)
    run = world.start("slowing", seconds=3.5)
    with as_role("placet_worker"):
        assert worker.advance(run.id)
    assert world.run_now(run).status == "succeeded"


def test_without_the_keeper_the_same_claim_would_be_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin with the mechanism removed."""
    monkeypatch.setattr("django.conf.settings.PLACET_CLAIM_SECONDS", 0.6)
    monkeypatch.setattr(claims.keeper, "keeping", contextlib.nullcontext)
    run = world.start("slowing", seconds=1.0)
    with as_role("placet_worker"):
        assert worker.advance(run.id)
    assert world.run_now(run).status == "running"


def replaced(name: str, function: Any) -> Workflow:
    """The workflow with another function: code that changed under a running run."""
    return Workflow(**{**WORKFLOWS[name].__dict__, "function": function})


def test_changed_code_quarantines_the_run_with_both_sides_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("registering", names=["a"])
    world.work()

    def changed(run: Any, *, names: list[str]) -> Any:
        return run.gather([run.prepare(zoo.register, name=name.upper()) for name in names])

    monkeypatch.setitem(WORKFLOWS, "registering", replaced("registering", changed))
    world.settle()
    now = world.run_now(run)
    assert now.status == "quarantined"
    assert now.error is not None
    assert now.error["recorded"].startswith("register with arguments of digest ")
    assert '{"name":"A"}' in now.error["found"]
    assert now.waiting_for.startswith("At position 0 the journal holds register")


def test_a_step_more_in_the_journal_than_in_the_code_is_noticed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    monkeypatch.setitem(WORKFLOWS, "registering", replaced("registering", lambda run, *, names: []))
    world.settle()
    error = world.run_now(run).error
    assert error is not None and error["found"] == "the end of the workflow"


def test_a_workflow_that_this_code_does_not_have_is_quarantined(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("adding", numbers=[1])
    monkeypatch.delitem(WORKFLOWS, "adding")
    world.settle()
    assert world.run_now(run).waiting_for == "This worker's code has no workflow called adding."


def test_a_sleep_holds_nothing_and_random_things_stay_the_same(world: World) -> None:
    run = world.start("sleeping", seconds=0.3)
    world.settle()
    now = world.run_now(run)
    assert now.status == "waiting"
    assert now.waiting_for == "its sleep to end"
    assert now.wake_at is not None
    first = bytes(Step.objects.get(run=run, kind="now").result or b"")
    time.sleep(0.3)
    world.settle()
    before, random, at, after = world.result(run)
    assert f'"{at}"' == first.decode()
    assert before != after and 0 <= float(random) < 1


def test_a_sleep_until_a_moment_ends_there_by_the_clock_of_the_database(world: World) -> None:
    moment = database_now() + timedelta(seconds=0.4)
    # The same moment, said in another zone.
    said = moment.astimezone(timezone(timedelta(hours=9, minutes=30))).isoformat()
    run = world.start("sleeping_until", moment=said)
    world.settle()
    now = world.run_now(run)
    assert (now.status, now.wake_at) == ("waiting", moment)
    time.sleep(0.4)
    world.settle()
    assert datetime.fromisoformat(world.result(run)) >= moment


def test_a_moment_that_is_over_is_not_waited_for(world: World) -> None:
    run = world.start("sleeping_until", moment="1999-12-31T23:59:59+00:00")
    world.settle()
    assert world.run_now(run).status == "succeeded"


def test_a_moment_without_its_time_zone_fails_the_run_in_words(world: World) -> None:
    run = world.start("sleeping_until", moment="2999-01-01T00:00:00")
    world.settle()
    error = world.run_now(run).error
    assert error["message"] == "run.sleep_until takes a moment with its time zone."


def test_a_gather_keeps_the_order_and_declares_all_in_one_commit(world: World) -> None:
    names = [f"n{index}" for index in range(20)]
    run = world.start("registering", names=names)
    world.work()
    assert [step.status for step in world.steps(run)] == ["ready"] * 20
    world.settle()
    assert [entry["name"] for entry in world.result(run)] == names


def test_a_gather_beyond_its_limit_is_refused(world: World) -> None:
    run = world.start("registering", names=["x"] * (limits.MAX_GATHER + 1))
    world.settle()
    assert world.run_now(run).error == {
        "kind": "InvalidArguments",
        "message": "1001 calls in one gather; at most 1000 are taken.",
    }


def test_progress_is_shown_and_async_steps_work(world: World) -> None:
    run = world.start("echoing", value={"a": [1, None, True, "ü"]})
    world.settle()
    now = world.run_now(run)
    assert (now.progress_done, now.progress_total, now.progress_note) == (1, 2, "half way")
    assert world.result(run) == {"a": [1, None, True, "ü"]}


def test_a_result_too_large_fails_a_safe_step_with_a_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("echoing", value="x" * 1000)
    monkeypatch.setattr(limits, "MAX_PAYLOAD_BYTES", 1015)
    world.settle()
    assert world.run_now(run).status == "succeeded"
    again = world.start("echoing", value="x" * 1000)
    monkeypatch.setattr(limits, "MAX_PAYLOAD_BYTES", 1001)
    world.settle()
    error = world.run_now(again).error
    assert error is not None and "at most 1001 are kept" in error["message"]


@pytest.mark.parametrize(
    ("amount", "currency", "sentence"),
    [
        (0, "EUR", "The amount is 0; a payment must be above zero."),
        (-5, "EUR", "The amount is -5; a payment must be above zero."),
        (10**15 + 1, "EUR", "at most 1000000000000000 minor units can be paid"),
        (5, "EUX", "'EUX' is not an ISO 4217 currency."),
        (5, "eur", "'eur' is not an ISO 4217 currency."),
    ],
)
def test_money_that_makes_no_sense_is_never_declared(
    world: World, amount: int, currency: str, sentence: str
) -> None:
    run = world.start("paying", amounts=[amount], currency=currency)
    world.settle()
    now = world.run_now(run)
    assert now.status == "failed"
    assert now.error is not None and sentence in now.error["message"]
    assert not Step.objects.filter(run=run, is_money=True).exists()


def test_a_key_that_stands_for_other_arguments_is_not_used(world: World) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    with admin() as superuser:
        superuser.execute(
            "INSERT INTO runs_effect (tenant, tool, key, step_id, digest, status)"
            " VALUES (%s, 'register', %s, %s, 'other', 'intended')",
            [world.tenant, step.key, step.id],
        )
    assert world.execute() == 0
    assert ledger("register-called") == []


class OutsideProvider:
    """Stands for a vault: away as often as its switch counts, then answering."""

    @contextlib.contextmanager
    def lease(self, claimed: effects.ClaimedStep) -> Iterator[Any]:
        if zoo.pop_switch("vault-away"):
            raise CredentialUnavailable("The vault cannot be reached.")
        if zoo.switch("vault-refuses"):
            raise CredentialRefused("The tool knock is not in scope.")
        yield OpenCredential()


class OpenCredential:
    secret = {"word": "sesame"}

    def scrub(self, value: Any) -> Any:
        return json.loads(json.dumps(value).replace("SESAME", "[redacted]"))


def test_a_vault_that_is_away_puts_a_once_step_off_without_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "_provider", OutsideProvider())
    monkeypatch.setattr(outcomes, "PUT_OFF_SECONDS", 0.01)
    run = world.start("knocking")
    set_switch("vault-away", 3)
    settle_retries(world, run)
    (step,) = world.steps(run)
    assert (step.status, step.attempt, step.failures) == ("succeeded", 4, 0)
    assert world.result(run) == "[redacted]"
    assert [entry["attempt"] for entry in ledger("knocked")] == [4]


def test_a_refused_credential_fails_the_step_and_nothing_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("knocking")
    monkeypatch.setattr(proofs, "_provider", OutsideProvider())
    set_switch("vault-refuses", 1)
    settle_retries(world, run)
    assert world.run_now(run).error == {
        "kind": "StepFailed",
        "message": "The tool knock is not in scope.",
    }
    assert ledger("knocked") == []


def test_without_a_provider_a_tool_that_needs_a_secret_is_refused(world: World) -> None:
    run = world.start("knocking")
    settle_retries(world, run)
    error = world.run_now(run).error
    assert error is not None
    assert error["message"] == "knock needs the secret world/key; no vault is set up."
    assert ledger("knocked") == []


def test_the_claim_of_a_neighbour_that_is_gone_ends_at_once(world: World) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "from runs import holders; print(holders.me())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    run = world.start("registering", names=["x", "y", "z"])
    world.work()
    steps = world.steps(run)
    stranger = gone.replace(holders.neighbourhood(), "another-host:1:")
    with as_role("placet_executor"):
        transitions.start_step(steps[0].id, holder=gone, seconds=60)
        transitions.start_step(steps[1].id, holder=holders.me(), seconds=60)
        transitions.start_step(steps[2].id, holder=stranger, seconds=60)
        assert recovery.release_steps_of_the_dead() == 1
        assert recovery.recover_lost_steps() == 1
    assert [step.status for step in world.steps(run)] == ["ready", "running", "running"]


def test_a_worker_that_is_gone_lets_go_of_its_run_at_once(world: World) -> None:
    run = world.start("adding", numbers=[1])
    with as_role("placet_worker"):
        assert claims.take_run(run.id) is not None
        assert recovery.release_runs_of_the_dead() == 0
        with connection.cursor() as cursor:
            name = f"{holders.neighbourhood()}{2**22 - 1}:1"
            cursor.execute("UPDATE runs_claim SET holder = %s", [name])
        assert recovery.release_runs_of_the_dead() == 1
        assert worker.advance(run.id)
    assert world.run_now(run).status == "succeeded"


def test_an_author_who_catches_everything_cannot_swallow_a_mismatch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("registering", names=["a"])
    world.work()

    def careless(run: Any, *, names: list[str]) -> Any:
        try:
            run.call(zoo.register, name="another")
        except Exception:
            return run.call(zoo.register, name="the other branch")

    monkeypatch.setitem(WORKFLOWS, "registering", replaced("registering", careless))
    world.settle()
    assert world.run_now(run).status == "quarantined"
    assert "the other branch" not in [entry["name"] for entry in ledger("registered")]


@pytest.mark.parametrize(
    "ugly",
    ["\ud800 broken", "zero \0 byte", "x" * 5000],
    ids=["half a pair of UTF-16", "a zero byte", "too long"],
)
def test_an_error_with_text_that_cannot_be_kept_still_ends_its_step(
    world: World, monkeypatch: pytest.MonkeyPatch, ugly: str
) -> None:
    def fail(run: Any, *, names: list[str]) -> Any:
        raise ValueError(ugly)

    monkeypatch.setitem(WORKFLOWS, "registering", replaced("registering", fail))
    run = world.start("registering", names=[])
    world.settle()
    now = world.run_now(run)
    assert now.status == "failed" and now.error is not None
    assert now.error["kind"] == "ValueError"


def test_a_ready_step_of_a_quarantined_run_is_not_hinted_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.start("registering", names=["a"])
    world.work()
    with as_role("placet_executor"):
        assert recovery.hint_due_steps() == 1
    with as_role("placet_worker"):
        transitions.quarantine(run.id, {"kind": "x", "message": "set aside"})
    with as_role("placet_executor"):
        assert recovery.hint_due_steps() == 0
        assert effects.drain() == 0


def test_cancelling_sees_a_step_that_ends_between_its_two_transactions(world: World) -> None:
    """No wake-up is lost: the run is ready again when its last step has ended meanwhile."""
    from runs.steering import request_cancel

    run = world.start("registering", names=["a"])
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        fence = transitions.start_step(step.id, holder=holders.me(), seconds=60).stepclaim.fence
    with as_role("placet_web"):
        request_cancel(run=run, actor="alice")
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None
        assert transitions.cancel_unstarted(claim) == ["register"]
    with as_role("placet_executor"):
        done = Outcome(status="succeeded", event="step.succeeded", result=b"null")
        transitions.finish_attempt(claims.Held("step", step.id, fence), done)
    with as_role("placet_worker"):
        transitions.park(claim, declared=[], awaited=[], waiting_for="x", is_cancelling=True)
    world.settle()
    assert world.run_now(run).status == "cancelled"


def test_an_outcome_survives_a_database_that_is_away_for_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    honest, failures = transitions.finish_attempt, [2]

    def away(claim: claims.Held, outcome: Outcome) -> None:
        if failures[0]:
            failures[0] -= 1
            raise OperationalError("terminating connection due to administrator command")
        honest(claim, outcome)

    run = world.start("launching", name="x")
    world.work()
    monkeypatch.setattr(transitions, "finish_attempt", away)
    world.execute()
    world.settle()
    assert world.run_now(run).status == "succeeded"
    assert len(ledger("launched")) == 1


def test_a_large_result_is_read_only_when_the_workflow_comes_to_it(world: World) -> None:
    from runs import journal, limits

    for size in (limits.APART_BYTES - 2, limits.APART_BYTES - 1):
        run = world.start("echoing", value="x" * size)
        world.settle()
        assert world.result(run) == "x" * size
        entry = journal.load(run.id)[0]
        is_apart = size + 2 > limits.APART_BYTES
        assert (entry.result is None, entry.is_apart) == (is_apart, is_apart)
        assert journal.result_of(entry) == b'"' + b"x" * size + b'"'

"""Long tools: what they tell while they run, and steps that the outside completes."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest

from runs import canonical, completions, limits
from runs.errors import CompletionRefused, Fenced, PayloadTooLarge
from runs.models import Completion, Effect, Event, Run, Step, StepClaim
from runs.steering import request_cancel
from tests import zoo
from tests.harness import World, admin, as_role
from tests.runs.test_retries import call, come_to_rest, set_switch
from tests.zoo import ledger


@pytest.fixture(autouse=True)
def no_waiting_between_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BEAT_SECONDS", 0.0)


def claim_of(run: Run) -> StepClaim:
    return StepClaim.objects.get(step__run=run)


# Heartbeats


def test_details_outlive_the_attempt(world: World) -> None:
    run = call(world, "travel", stations=4)
    set_switch("derails-at-2", 1)
    come_to_rest(world, run)
    assert world.result(run) == {"begun_at": 3}
    passed = [(entry["number"], entry["attempt"]) for entry in ledger("station")]
    assert passed == [(0, 1), (1, 1), (2, 1), (3, 2)]
    assert canonical.decode(bytes(claim_of(run).details or b"")) == {"station": 4}


def test_the_last_details_are_written_also_when_beats_are_throttled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BEAT_SECONDS", 60.0)
    run = call(world, "travel", stations=4)
    set_switch("derails-at-2", 1)
    come_to_rest(world, run)
    assert world.result(run) == {"begun_at": 3}


def test_progress_is_kept_for_those_who_watch(world: World) -> None:
    run = call(world, "travel", stations=3)
    come_to_rest(world, run)
    claim = claim_of(run)
    assert (claim.progress_done, claim.progress_total) == (3, 3)
    assert claim.progress_note == "at station 2"
    assert claim.beat_at is not None


def test_a_tool_can_notice_that_its_run_is_to_end(world: World) -> None:
    run = call(world, "travel", stations=5)
    world.work()
    set_switch("train-waits", 1)
    executor = threading.Thread(target=world.execute)
    executor.start()
    wait_until(lambda: bool(ledger("station")))
    # Another thread has another connection, under its own role.
    with psycopg.connect(world.servers.database_url("placet_owner"), autocommit=True) as owner:
        owner.execute(
            "UPDATE runs_run SET cancel_requested_at = clock_timestamp() WHERE id = %s", [run.pk]
        )
    time.sleep(0.1)
    (zoo.world_dir() / "train-waits").unlink()
    executor.join(20)
    (step,) = world.steps(run)
    assert step.status == "failed"
    assert step.error == {"kind": "Refusal", "message": "turned back at 1"}


def test_only_the_holder_of_the_claim_beats(world: World) -> None:
    from runs import transitions
    from runs.beats import Beats
    from runs.claims import Held

    run = call(world, "travel", stations=1)
    world.work()
    (step,) = world.steps(run)
    with as_role("placet_executor"):
        fence = transitions.start_step(step.id, holder="me", seconds=30).stepclaim.fence
        beats = Beats(Held("step", step.id, fence), lambda value: value)
        beats.tell(details=b'"mine"')
        with pytest.raises(Fenced):
            Beats(Held("step", step.id, fence - 1), lambda value: value).tell(details=b'"theirs"')
    assert bytes(claim_of(run).details or b"") == b'"mine"'


def test_details_are_bounded_and_scrubbed() -> None:
    from runs.beats import Beats
    from runs.claims import Held
    from runs.models import new_id

    beats = Beats(Held("step", new_id(), 1), lambda value: {"kept": "[redacted]"})
    assert beats.details({"kept": "secret"}) == b'{"kept":"[redacted]"}'
    open_hearted = Beats(Held("step", new_id(), 1), lambda value: value)
    with pytest.raises(PayloadTooLarge, match="at most 16384 are kept"):
        open_hearted.details("x" * limits.MAX_DETAILS_BYTES)


# Completed from outside


def handed_over(world: World, **more: Any) -> tuple[Run, Step, str]:
    run = call(world, "hand_over", **more)
    world.settle()
    (step,) = world.steps(run)
    assert step.status == "waiting"
    return run, step, (zoo.world_dir() / "token").read_text()


def complete(token: str, **said: Any) -> Completion:
    with as_role("placet_web"):
        return completions.complete(token, **said)


def test_the_outside_completes_a_step_with_its_token(world: World) -> None:
    run, step, token = handed_over(world)
    now = world.run_now(run)
    assert (now.status, now.waiting_for) == ("waiting", "the outside to complete hand_over")
    assert claim_of(run).expires_at is None, "a step that waits holds no claim"
    complete(token, result={"signed": True})
    world.settle()
    assert world.result(run) == {"signed": True}
    assert Effect.objects.get(step=step).status == "succeeded"
    kinds = list(Event.objects.filter(run=run).order_by("seq").values_list("kind", flat=True))
    assert kinds[-4:] == ["step.waiting", "completion.made", "step.succeeded", "run.succeeded"]


def test_the_outside_may_say_that_it_failed(world: World) -> None:
    run, step, token = handed_over(world)
    complete(token, error="nobody was at home")
    world.settle()
    step.refresh_from_db()
    assert step.error == {"kind": "CompletedWithError", "message": "nobody was at home"}
    assert world.run_now(run).status == "failed"
    assert Effect.objects.get(step=step).status == "failed"


def test_a_token_is_used_once(world: World) -> None:
    run, _, token = handed_over(world)
    complete(token, result=1)
    with pytest.raises(CompletionRefused, match="This token has been used"):
        complete(token, result=2)
    world.settle()
    with pytest.raises(CompletionRefused, match="This token has been used"):
        complete(token, result=2)
    assert world.result(run) == 1


def test_a_wrong_token_completes_nothing(world: World) -> None:
    _run, step, token = handed_over(world)
    other = f"{step.id}.1.{'x' * 43}"
    for wrong in ("", "x", "x.y.z", other, token + "x", token[:-1], token.replace(".1.", ".2.")):
        with pytest.raises(CompletionRefused, match="This token completes nothing"):
            complete(wrong, result=1)
    assert not Completion.objects.exists()
    complete(token, result=1)


def test_only_the_hash_of_a_token_is_kept(world: World) -> None:
    _run, _, token = handed_over(world)
    secret = token.rpartition(".")[2]
    with admin() as superuser:
        tables = superuser.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            rows = superuser.execute(f'SELECT t::text FROM "{table}" t').fetchall()
            assert not any(secret in row[0] for row in rows), table


def test_a_result_is_bounded(world: World) -> None:
    _, _, token = handed_over(world)
    with pytest.raises(Exception, match="bytes"):
        complete(token, result="x" * limits.MAX_PAYLOAD_BYTES)


def test_one_that_is_not_completed_in_time_is_in_doubt(world: World) -> None:
    run, step, token = handed_over(world, within=0.2)
    time.sleep(0.3)
    world.settle()
    step.refresh_from_db()
    assert step.status == "in_doubt"
    assert step.error == {
        "kind": "NotCompleted",
        "message": "hand_over was not completed from outside in time.",
    }
    with pytest.raises(CompletionRefused, match="The step is in doubt: it does not wait"):
        complete(token, result=1)
    assert world.run_now(run).waiting_for.startswith("a person to say what became of hand_over")


def test_one_that_was_completed_just_before_its_time_is_not_expired(world: World) -> None:
    run, _step, token = handed_over(world, within=0.3)
    complete(token, result=7)
    time.sleep(0.4)
    with as_role("placet_executor"):
        from runs import recovery

        assert recovery.expire_completions() == 0
    world.settle()
    assert world.result(run) == 7


def test_cancelling_asks_people_where_the_outside_has_no_time_limit(world: World) -> None:
    run, step, _ = handed_over(world)
    with as_role("placet_web"):
        request_cancel(run=run, actor="alice")
    world.settle()
    step.refresh_from_db()
    assert step.status == "in_doubt"


def test_cancelling_waits_for_an_outside_that_has_one(world: World) -> None:
    run, step, token = handed_over(world, within=60)
    with as_role("placet_web"):
        request_cancel(run=run, actor="alice")
    world.settle()
    step.refresh_from_db()
    assert step.status == "waiting"
    complete(token, result=1)
    world.settle()
    assert world.run_now(run).status == "cancelled"


def test_the_token_of_an_attempt_that_broke_off_is_dead(world: World) -> None:
    set_switch("hand-over-breaks", 1)
    run = call(world, "hand_over")
    step = come_to_rest(world, run)
    assert step.status == "in_doubt"
    token = (zoo.world_dir() / "token").read_text()
    with pytest.raises(CompletionRefused, match="The step is in doubt"):
        complete(token, result=1)


def test_the_database_takes_no_completion_of_a_step_that_does_not_wait(world: World) -> None:
    from runs.models import new_id

    run = call(world, "travel", stations=1)
    world.work()
    (step,) = world.steps(run)
    insert = (
        "INSERT INTO runs_completion (id, tenant, step_id, attempt, result, writer)"
        " VALUES (%s, %s, %s, %s, '1', '')"
    )
    values = [new_id(), step.tenant, step.pk, step.attempt]
    url = world.servers.database_url("placet_web")
    with psycopg.connect(url) as web, pytest.raises(psycopg.Error, match="completion step"):
        web.execute(insert, values)
    for role in ("placet_worker", "placet_executor", "placet_gatekeeper"):
        with psycopg.connect(world.servers.database_url(role)) as attacker:
            with pytest.raises(psycopg.Error, match="permission denied"):
                attacker.execute(insert, values)


def wait_until(is_so: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""Signals: a mailbox that loses nothing, and waits for it."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from runs import claims, limits, points, signals, transitions
from runs.errors import (
    AlreadyEnded,
    Fenced,
    IdempotencyMismatch,
    InvalidInput,
    MailboxFull,
    UnknownRun,
)
from runs.models import Event, Run, Signal, Step
from tests.harness import World, admin, as_role
from tests.zoo import ledger


def send(world: World, run: Run, name: str, payload: Any = None, **more: Any) -> Any:
    with as_role("placet_web"):
        return signals.send_signal(
            run_id=run.id,
            tenant=more.pop("tenant", world.tenant),
            name=name,
            payload=payload,
            sender="alice",
            **more,
        )


def kinds(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run).order_by("seq").values_list("kind", flat=True))


def test_a_signal_wakes_the_run_that_waits_for_it(world: World) -> None:
    run = world.start("listening", signals=["go"])
    world.settle()
    parked = world.run_now(run)
    assert (parked.status, parked.waiting_for) == ("waiting", "the signal go")
    send(world, run, "go", {"at": 3})
    assert world.run_now(run).status == "ready"
    world.settle()
    assert world.result(run) == [{"at": 3}]
    assert kinds(run) == [
        *("run.started", "run.waiting", "step.waiting", "signal.sent", "signal.taken"),
        "run.succeeded",
    ]


def test_a_signal_that_was_sent_before_the_wait_is_there(world: World) -> None:
    run = world.start("listening", signals=["go"])
    send(world, run, "go", 1)
    world.settle()
    assert world.result(run) == [1]
    assert "run.waiting" not in kinds(run)


def test_signals_of_one_name_are_taken_in_the_order_in_which_they_were_sent(world: World) -> None:
    run = world.start("listening", signals=["go", "go", "stop", "go"])
    for number in range(3):
        send(world, run, "go", number)
    world.settle()
    assert world.run_now(run).waiting_for == "the signal stop"
    send(world, run, "stop")
    world.settle()
    assert world.result(run) == [0, 1, None, 2]


def test_a_signal_of_another_name_does_not_wake_the_run(world: World) -> None:
    run = world.start("listening", signals=["go"])
    world.settle()
    send(world, run, "other")
    assert world.run_now(run).status == "waiting"


def test_a_signal_that_comes_while_the_run_parks_is_not_lost(world: World) -> None:
    """After the last look into the mailbox, before the lock of the parking transaction."""
    run = world.start("listening", signals=["go"])
    sent = []

    def sent_meanwhile(execute: Any, sql: str, *rest: Any) -> Any:
        if "UPDATE runs_claim SET last_seq" in sql and not sent:
            sent.append(True)
            thread = threading.Thread(target=insert_by_sql, args=[run])
            thread.start()
            thread.join()
        return execute(sql, *rest)

    def insert_by_sql(run: Run) -> None:
        with admin() as other, other.transaction():
            other.execute("UPDATE runs_claim SET last_seq = last_seq WHERE run_id = %s", [run.id])
            other.execute(
                "INSERT INTO runs_signal (id, tenant, run_id, name, payload, sender, sent_at)"
                " VALUES (gen_random_uuid(), %s, %s, 'go', '7', 'alice', now())",
                [world.tenant, run.id],
            )

    with as_role("placet_worker"), connection.execute_wrapper(sent_meanwhile):
        from runs import worker

        worker.drain()
    assert sent
    assert world.run_now(run).status in ("ready", "succeeded")
    world.settle()
    assert world.result(run) == [7]


def test_a_worker_that_dies_while_it_takes_a_signal_loses_none(world: World) -> None:
    run = world.start("listening", signals=["go"])
    send(world, run, "go", 5)

    def dies(point: str) -> None:
        if point == "committed:run.claimed":
            raise KeyboardInterrupt

    points.observer = dies
    try:
        with pytest.raises(KeyboardInterrupt):
            world.work()
    finally:
        points.observer = None
    assert Signal.objects.get(run=run).taken_at is None
    with admin() as superuser:
        superuser.execute("UPDATE runs_claim SET expires_at = now() - interval '1 s'")
        superuser.execute("UPDATE runs_run SET status = 'ready'")
    world.settle()
    assert world.result(run) == [5]
    assert Signal.objects.get(run=run).taken_at == 0


def test_a_wait_ends_when_its_time_is_over(world: World) -> None:
    run = world.start("listening", signals=["go"], timeout=0.01)
    for _ in range(100):
        world.settle()
        if world.run_now(run).finished_at:
            break
    now = world.run_now(run)
    assert now.status == "failed"
    assert now.error == {
        "kind": "TimedOut",
        "message": "There was none within 0.01 seconds: the signal go.",
    }


def test_the_same_key_sends_once(world: World) -> None:
    run = world.start("listening", signals=["go"])
    first, was_new = send(world, run, "go", 1, dedup_key="k")
    again, is_new = send(world, run, "go", 1, dedup_key="k")
    assert (was_new, is_new, again.id) == (True, False, first.id)
    with pytest.raises(IdempotencyMismatch, match="'k' was used before, for another message"):
        send(world, run, "go", 2, dedup_key="k")
    assert Signal.objects.filter(run=run).count() == 1


def test_the_same_key_answers_as_before_when_the_run_has_ended(world: World) -> None:
    run = world.start("listening", signals=["go"])
    first, _ = send(world, run, "go", 1, dedup_key="k")
    world.settle()
    assert world.run_now(run).status == "succeeded"
    assert send(world, run, "go", 1, dedup_key="k")[0].id == first.id


def test_a_run_that_has_ended_takes_no_mail(world: World) -> None:
    run = world.start("adding", numbers=[1])
    world.settle()
    with pytest.raises(AlreadyEnded, match="The run has already succeeded"):
        send(world, run, "go")


def test_the_run_of_another_tenant_is_unknown(world: World) -> None:
    run = world.start("listening", signals=["go"])
    with pytest.raises(UnknownRun):
        send(world, run, "go", tenant="another")


@pytest.mark.parametrize("name", ["", "x" * (limits.MAX_SIGNAL_NAME + 1), "answer:0"])
def test_what_is_no_name_is_refused(world: World, name: str) -> None:
    run = world.start("listening", signals=["go"])
    with pytest.raises(InvalidInput, match="A signal's name has 1 to 100 characters"):
        send(world, run, name)


def test_a_full_mailbox_says_so(world: World) -> None:
    run = world.start("listening", signals=["go"])
    with admin() as superuser:
        superuser.execute(
            "INSERT INTO runs_signal (id, tenant, run_id, name, payload, sender, sent_at)"
            " SELECT gen_random_uuid(), %s, %s, 'spam', '1', 'mallory', now()"
            " FROM generate_series(1, %s)",
            [world.tenant, run.id, limits.MAX_MAILBOX - 1],
        )
    send(world, run, "go")
    with pytest.raises(MailboxFull, match="has 1000 messages that it has not taken"):
        send(world, run, "go")


def test_the_first_of_several_is_remembered(world: World) -> None:
    run = world.start("hurrying", seconds=3600)
    world.settle()
    assert world.run_now(run).waiting_for == "the first of: the signal news and 1 more"
    assert world.run_now(run).wake_at is not None
    send(world, run, "news", "rain")
    world.settle()
    assert world.result(run) == "news: rain"
    left = {step.kind: step.status for step in world.steps(run)}
    assert left["sleep"] == "cancelled", "what nobody waits for any more ends with its run"
    late = world.start("hurrying", seconds=0)
    for _ in range(10):
        world.settle()
    assert world.result(late) == "no news"


def test_all_of_several_kinds_are_waited_for(world: World) -> None:
    run = world.start("collecting")
    world.settle()
    send(world, run, "b", 2)
    world.settle()
    assert world.run_now(run).status == "waiting"
    send(world, run, "a", 1)
    for _ in range(10):
        world.settle()
    assert world.result(run) == [1, 2, {"name": "c"}, None]


def test_a_run_sends_to_another_once(world: World) -> None:
    listener = world.start("listening", signals=["go"])
    writer = world.start("writing", to=str(listener.id), signal="go", payload=[1])
    world.settle()
    assert (world.result(writer), world.result(listener)) == ("sent", [[1]])
    assert Signal.objects.get(run=listener).sender == f"run {writer.id}"


def test_a_worker_that_dies_between_sending_and_recording_sends_once(world: World) -> None:
    listener = world.start("listening", signals=["go", "go"])
    world.settle()
    writer = world.start("writing", to=str(listener.id), signal="go")

    def dies(point: str) -> None:
        if point == "committed:signal.sent":
            raise KeyboardInterrupt

    points.observer = dies
    try:
        with pytest.raises(KeyboardInterrupt):
            world.work()
    finally:
        points.observer = None
    assert Signal.objects.filter(run=listener).count() == 1
    with admin() as superuser:
        superuser.execute("UPDATE runs_claim SET expires_at = now() - interval '1 s'")
        superuser.execute("UPDATE runs_run SET status = 'ready' WHERE status = 'running'")
    world.settle()
    assert world.result(writer) == "sent"
    assert Signal.objects.filter(run=listener).count() == 1
    assert world.run_now(listener).waiting_for == "the signal go"


@pytest.mark.parametrize("has_ended", [True, False])
def test_what_cannot_be_sent_is_the_senders_matter(world: World, has_ended: bool) -> None:
    to = world.start("adding", numbers=[1]).id if has_ended else uuid4()
    world.settle()
    writer = world.start("writing", to=str(to), signal="go")
    world.settle()
    said = "The run has already succeeded." if has_ended else f"There is no run {to}."
    assert world.result(writer) == f"not sent: {said}"


def test_a_gather_within_a_bound_begins_no_more(world: World) -> None:
    run = world.start("many_registering", names=[f"n{i}" for i in range(7)], at_once=3)
    world.work()
    assert [s.status for s in world.steps(run)] == ["ready"] * 3
    world.settle()
    assert world.result(run) == 7
    assert len(ledger("registered")) == 7


def test_a_gather_that_fails_fast_does_not_wait_for_the_rest(world: World) -> None:
    from runs import effects

    run = world.start("many_registering", names=["", "b"], fail_fast=True)
    world.work()
    first = world.steps(run)[0]
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE runs_step SET status = 'failed', error = %s WHERE id = %s",
            ['{"kind": "Refusal", "message": "no"}', first.id],
        )
        superuser.execute("UPDATE runs_run SET status = 'ready'")
    world.work()
    assert world.result(run) == "failed: no"
    assert effects.next_due() is None


def test_a_worker_speaks_for_runs_only(world: World) -> None:
    run = world.start("listening", signals=["go"])
    with as_role("placet_worker"), transaction.atomic():
        with pytest.raises(DatabaseError, match="signal sender"), transaction.atomic():
            Signal.objects.create(
                tenant=world.tenant, run=run, name="go", payload=b"1", sender="alice"
            )
    with as_role("placet_executor"):
        with pytest.raises(DatabaseError, match="permission denied") as refused:
            Signal.objects.create(
                tenant=world.tenant, run=run, name="go", payload=b"1", sender="run x"
            )
    assert isinstance(refused.value.__cause__, psycopg.errors.InsufficientPrivilege)


def test_the_choice_stays_when_the_other_comes_later(world: World) -> None:
    run = world.start("choosing")
    world.settle()
    send(world, run, "b", "chosen")
    world.settle()
    send(world, run, "a", "late")
    send(world, run, "end")
    world.settle()
    assert world.result(run) == ["chosen", None]


def test_a_message_is_taken_once_whatever_a_worker_records(world: World) -> None:
    run = world.start("listening", signals=["go", "go"])
    world.settle()
    with as_role("placet_web"):
        sent, _ = signals.send_signal(
            run_id=run.id, tenant=run.tenant, name="go", payload=1, sender="alice"
        )
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
        assert claim is not None

        def take(position: int) -> None:
            recording = transitions.Recording(
                position=position,
                kind="signal",
                name="go",
                status="succeeded",
                event="signal.taken",
                arguments=b"{}",
                digest=b"d" * 32,
                key=f"key-{position}",
                takes=sent.id,
                result=b"1",
            )
            transitions.record(claim, recording)

        take(0)
        with pytest.raises(Fenced):
            take(1)
    assert not Step.objects.filter(run=run, position=1).exists()
    assert Event.objects.filter(run=run, kind="signal.taken").count() == 1

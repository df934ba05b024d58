"""A message is a hint: whoever can send one can make a process look, and nothing else."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import group, signature
from celery.worker import state
from django.conf import settings

from console import celery
from console.celery import Hearing, app
from tests.harness import World
from tests.servers import Servers
from tests.stack import Stack
from tests.zoo import ledger

FAR = 3600


@pytest.fixture(autouse=True)
def nothing_was_said() -> None:
    """What the processes of a test before have said to each other is not heard here: neither a
    message that lets a child look by itself, nor that somebody listens past Celery."""
    with redis.Redis.from_url(settings.PLACET_BROKER_URL) as valkey:
        valkey.flushdb()


def send(task: str, *args: Any, queue: str = "effects", **options: Any) -> None:
    app.send_task(task, args=args, queue=queue, retry=False, ignore_result=True, **options)


def paid(count: int) -> bool:
    return len(ledger("paid")) == count


@pytest.mark.processes
def test_no_message_ends_a_child_in_the_middle_of_a_payment(world: World, servers: Servers) -> None:
    """Whoever runs agents' code has the broker's password, and so can send any message."""
    run = world.park_at_gates(100)
    world.approve_all(run, world.bob)
    world.keep_gates()
    (step,) = (step for step in world.steps(run) if step.name == "pay")
    waiting = Path(world._outside.name) / "pay-waits"
    waiting.touch()
    with Stack(servers, PLACET_SWEEP_SECONDS="3600") as stack:
        send("runs.execute", str(step.id), time_limit=1, soft_time_limit=1)
        stack.wait_until(lambda: bool(ledger("pay-called")), "the payment to begin")
        time.sleep(2.5)
        waiting.unlink()
        stack.wait_until(lambda: paid(1), "the payment to end")
        said = stack.output("executor")
    assert "Hard time limit" not in said and "Soft time limit" not in said
    assert len(ledger("pay-called")) == 1


@pytest.mark.processes
def test_of_a_message_only_the_id_counts(world: World, servers: Servers) -> None:
    run = world.park_at_gates(100, 200, 300)
    world.approve_all(run, world.bob)
    world.keep_gates()
    steps = [step for step in world.steps(run) if step.name == "pay"]
    after = signature("runs.advance", args=("called afterwards",), queue="runs")
    with Stack(servers, PLACET_SWEEP_SECONDS="3600") as stack:
        # Neither Celery's own tasks nor those of another process are to be had.
        send("celery.starmap", {"task": "runs.execute"}, [[str(steps[0].id)]])
        send("runs.advance", str(run.id))
        send("runs.execute", "no id")
        send("runs.execute", str(steps[0].id), "more")
        stack.wait_until(
            lambda: stack.output("executor").count("InvalidTaskError(") >= 4,
            "the messages to be refused",
        )
        assert not ledger("pay-called")
        # A later time and an early end are not waited for; all steps are then found by one hint.
        send(
            "runs.execute",
            str(steps[0].id),
            countdown=FAR,
            expires=0.001,
            link=after,
            link_error=after,
            chain=[after],
            chord=group(after),
            reply_to="somebody",
            shadow="another name",
        )
        stack.wait_until(lambda: paid(3), "the payments")
        time.sleep(1)
        assert "called afterwards" not in stack.output("worker")


def test_work_that_is_found_again_and_again_is_no_sign_of_deafness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(celery, "DEAF_SECONDS", 0.05)
    monkeypatch.setattr(celery, "_broken_until", 0.0)
    no_hints_were_sent, they_are_answered, they_are_not = Hearing(), Hearing(), Hearing()
    for _ in range(10):
        assert not no_hints_were_sent.is_deaf(found=1)
        time.sleep(0.02)
    for _ in range(10):
        celery.send_hint("gates", uuid.uuid4())
        state.total_count.update({"runs.advance": 1})
        assert not they_are_answered.is_deaf(found=1)
        time.sleep(0.02)
    told = []
    for _ in range(10):
        celery.send_hint("gates", uuid.uuid4())
        told.append(they_are_not.is_deaf(found=1))
        time.sleep(0.02)
    assert True in told

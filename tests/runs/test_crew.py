"""Slices of several runs at once in one process, and who runs beside whom."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from console.embedded import programs
from runs import claims, crew, worker
from runs.crew import Company, Crew
from runs.models import Run, Step
from tests import zoo
from tests.harness import World, admin, as_role, wait_for
from tests.servers import Servers
from tests.stack import Stack
from tests.zoo import ledger

COUNT = 4


@pytest.fixture
def crews() -> Iterator[Callable[..., Crew]]:
    made: list[Crew] = []

    def make(size: int, drain: crew.Drain) -> Crew:
        made.append(Crew(size, drain))
        return made[-1]

    yield make
    for one in made:
        assert one.end(10)


def meeting(world: World, count: int) -> list[uuid.UUID]:
    return [
        world.start("calling", tool="meet", arguments={"count": count}).id for _ in range(count)
    ]


def test_runs_of_one_process_meet(world: World, crews: Callable[..., Crew]) -> None:
    runs = meeting(world, COUNT)
    with as_role("placet_worker"):
        made = crews(COUNT, worker.drain)
        made.work_off(runs)
        assert made.end(20)
    results = {step.result for step in Step.objects.filter(run__in=runs)}
    assert {bytes(result or b"") for result in results} == {b"%d" % COUNT}
    assert len(ledger("met")) == COUNT


def test_no_more_run_at_once_than_there_may_be(crews: Callable[..., Crew]) -> None:
    busy: list[int] = []
    most: list[int] = []
    release = threading.Event()

    def drain(hint: uuid.UUID | None, is_ending: crew.IsEnding) -> None:
        busy.append(1)
        most.append(len(busy))
        release.wait(10)
        busy.pop()

    made = crews(2, drain)
    handing_over = threading.Thread(target=made.work_off, args=([None] * 6,))
    handing_over.start()
    wait_for(lambda: len(busy) == 2)
    time.sleep(0.1)
    assert handing_over.is_alive()
    release.set()
    handing_over.join(10)
    assert made.end(10)
    assert (len(most), max(most)) == (6, 2)


def test_a_hint_that_nobody_is_free_for_is_dropped(
    crews: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "BUSY_SECONDS", 0.05)
    release, seen = threading.Event(), []

    def drain(hint: uuid.UUID | None, is_ending: crew.IsEnding) -> None:
        seen.append(hint)
        release.wait(10)

    made = crews(1, drain)
    first = uuid.uuid4()
    # Whoever hands over is not held up: its process may have been told to end.
    made.work_off([first, uuid.uuid4(), uuid.uuid4()])
    release.set()
    assert made.end(10)
    assert seen == [first]


def test_a_slice_that_breaks_off_takes_no_thread_with_it(crews: Callable[..., Crew]) -> None:
    done: queue.SimpleQueue[uuid.UUID | None] = queue.SimpleQueue()
    broken, whole = uuid.uuid4(), uuid.uuid4()

    def drain(hint: uuid.UUID | None, is_ending: crew.IsEnding) -> None:
        if hint == broken:
            raise SystemExit("an author's last word")
        done.put(hint)

    made = crews(1, drain)
    made.work_off([broken, whole, broken, whole])
    assert made.end(10)
    assert [done.get_nowait(), done.get_nowait()] == [whole, whole]


def test_threads_that_have_nothing_to_do_end_but_for_one(
    crews: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "IDLE_SECONDS", 0.1)
    told = threading.Barrier(3)

    def drain(hint: uuid.UUID | None, is_ending: crew.IsEnding) -> None:
        told.wait(10)
        connection.ensure_connection()

    made = crews(3, drain)
    made.work_off([None] * 3)
    wait_for(lambda: made._threads == made._idle == 1)
    told.reset()
    made.work_off([None] * 3)
    wait_for(lambda: made._threads == made._idle == 1)


def test_who_is_ending_begins_nothing_more(crews: Callable[..., Crew], world: World) -> None:
    runs = [world.start("adding", numbers=[1]) for _ in range(3)]
    begun = threading.Event()

    def drain(hint: uuid.UUID | None, is_ending: crew.IsEnding) -> int:
        begun.set()
        wait_for(is_ending)
        return worker.drain(None, is_ending)

    with as_role("placet_worker"):
        made = crews(2, drain)
        made.work_off([None])
        begun.wait(10)
        assert made.end(10)
    assert {world.run_now(run).status for run in runs} == {"ready"}


def test_one_alone_waits_for_the_others_and_they_for_it() -> None:
    company, seen = Company(), []
    others_may_end, alone_may_end = threading.Event(), threading.Event()

    def other(name: str) -> None:
        with company.together():
            seen.append(f"{name} began")
            others_may_end.wait(10)

    def suspect() -> None:
        with company.alone(uuid.uuid4()):
            seen.append("alone")
            alone_may_end.wait(10)
            seen.append("alone no more")

    first = threading.Thread(target=other, args=["first"])
    first.start()
    wait_for(lambda: seen == ["first began"])
    one = threading.Thread(target=suspect)
    one.start()
    wait_for(lambda: company._is_one_alone)
    second = threading.Thread(target=other, args=["second"])
    second.start()
    time.sleep(0.1)
    assert seen == ["first began"]
    others_may_end.set()
    wait_for(lambda: "alone" in seen)
    time.sleep(0.1)
    assert seen == ["first began", "alone"]
    alone_may_end.set()
    for thread in (first, one, second):
        thread.join(10)
    assert seen == ["first began", "alone", "alone no more", "second began"]


def test_the_same_one_does_not_wait_twice_to_be_alone() -> None:
    company, who = Company(), uuid.uuid4()
    with company.alone(who) as is_first, company.alone(who) as is_second:
        assert (is_first, is_second) == (True, False)
    with company.alone(who) as is_first:
        assert is_first


def test_one_alone_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "ALONE_SECONDS", 0.05)
    company, may_end = Company(), threading.Event()

    def other() -> None:
        with company.together():
            may_end.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    wait_for(lambda: company._together == 1)
    with company.alone(uuid.uuid4()) as is_first:
        assert is_first and thread.is_alive()
    may_end.set()
    thread.join(10)


def test_two_who_come_at_once_take_two_runs(world: World) -> None:
    first, second = [world.start("adding", numbers=[1]) for _ in range(2)]
    taken: list[uuid.UUID | None] = []

    def take() -> None:
        claim = claims.take_next()
        taken.append(None if claim is None else claim.id)
        connection.close()

    with admin() as other, as_role("placet_worker"):
        # As whoever is claiming it at this moment.
        other.autocommit = False
        query = "SELECT 1 FROM runs_claim WHERE run_id = %s FOR UPDATE"
        other.execute(query, [first.id])
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(5)
        found = list(taken)
        other.rollback()
        thread.join(5)
    assert found == [second.id]


@pytest.mark.processes
def test_a_run_that_kills_its_process_is_poison_and_its_neighbours_are_not(
    world: World, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One child runs all of them; the neighbours take longer than it lives beside the poison."""
    monkeypatch.setitem(programs.QUEUES, "worker", ("runs", 1))
    (zoo.world_dir() / "perish").touch()
    with Stack(servers, PLACET_CLAIM_SECONDS="60") as stack:
        slow = [world.start("calling", tool="dawdle", arguments={"seconds": 4.0}) for _ in range(4)]
        stack.wait_until(
            lambda: Run.objects.filter(status="running").count() == len(slow), "them to begin"
        )
        poison = world.start("calling", tool="perish", arguments={})
        stack.wait_until(
            lambda: world.run_now(poison).status == "quarantined", "the poison", seconds=60
        )
        stack.wait_until(
            lambda: {world.run_now(run).status for run in slow} == {"succeeded"},
            "its neighbours to succeed",
            seconds=60,
        )
    error = world.run_now(poison).error
    assert error is not None and error["kind"] == "Poison"
    assert len(ledger("perished")) == 5

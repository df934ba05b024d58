"""Steps that several runs of a process record at the same moment share one commit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection

from runs import canonical, claims, transitions
from runs.claims import Held
from runs.errors import ClaimMissed, Fenced
from runs.models import Claim, Event, new_id
from runs.transitions import Recording
from tests.harness import World, admin, as_role, wait_for

Outcome = dict[str, Any]


def hold(world: World) -> Held:
    """A run of this process that is about to record its first step."""
    run = world.start("adding", numbers=[1])
    with as_role("placet_worker"):
        claim = claims.take_run(run.id)
    assert claim is not None
    return claim


def recording(claim: Held, kind: str = "tool") -> Recording:
    arguments = canonical.encode({"of": str(claim.id)})
    return Recording(
        position=0,
        kind=kind,
        name="add",
        status="succeeded",
        event="step.succeeded",
        arguments=arguments,
        digest=canonical.step_digest("add", arguments),
        key=canonical.step_key("tenant", claim.id, 0, "add"),
        result=canonical.encode(str(claim.id)),
    )


def record(claim: Held, told: Outcome, kind: str = "tool") -> threading.Thread:
    """Begins to record in a thread of its own; `told` has what it came to, by run."""

    def go() -> None:
        try:
            told[claim.id] = transitions.record(claim, recording(claim, kind))
        except Exception as error:
            told[claim.id] = error
        finally:
            connection.close()

    thread = threading.Thread(target=go)
    thread.start()
    return thread


@contextmanager
def one_in_the_way(claim: Held) -> Iterator[Any]:
    """Holds the lock of a run, so that whoever records in it stands, and all others wait."""
    with admin() as other:
        other.autocommit = False
        query = "SELECT 1 FROM runs_claim WHERE run_id = %s FOR UPDATE"
        assert other.execute(query, [claim.id]).fetchone() is not None
        yield other
        other.rollback()


def waiting_backends() -> list[int]:
    with admin() as other:
        query = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return [row[0] for row in other.execute(query).fetchall()]


def transaction_of(claim: Held) -> str:
    """Which transaction wrote the step of a run."""
    with admin() as other:
        query = "SELECT xmin::text FROM runs_step WHERE run_id = %s"
        return str(other.execute(query, [claim.id]).fetchone()[0])


def all_but_the_first_wait(first: Held, others: list[Held], told: Outcome) -> list[Any]:
    """One stands at the lock of its run, and the others come meanwhile."""
    from runs.transitions.together import together

    threads = [record(first, told)]
    wait_for(lambda: len(waiting_backends()) == 1)
    for other in others:
        threads.append(record(other, told))
    wait_for(lambda: len(together._waiting) == len(others))
    return threads


def test_those_who_come_while_a_commit_is_on_its_way_share_the_next(world: World) -> None:
    first, *others = [hold(world) for _ in range(5)]
    told: Outcome = {}
    with as_role("placet_worker"):
        with one_in_the_way(first):
            threads = all_but_the_first_wait(first, others, told)
        for thread in threads:
            thread.join(10)
    assert set(told.values()) == {""}
    (shared,) = {transaction_of(other) for other in others}
    assert shared != transaction_of(first)
    for claim in (first, *others):
        (step,) = world.steps(claim.run)
        assert bytes(step.result) == canonical.encode(str(claim.id))
        assert step.status == "succeeded" and step.finished_at >= step.started_at
        last = Event.objects.filter(run=claim.id).latest("seq")
        assert (last.kind, last.position, last.actor) == ("step.succeeded", 0, "worker")


def test_a_lost_claim_is_refused_and_keeps_nobody_else_from_it(world: World) -> None:
    first, lost, kept = [hold(world) for _ in range(3)]
    told: Outcome = {}
    with admin() as other:
        other.execute("UPDATE runs_claim SET fence = fence + 1 WHERE run_id = %s", [lost.id])
    with as_role("placet_worker"):
        with one_in_the_way(first):
            threads = all_but_the_first_wait(first, [lost, kept], told)
        for thread in threads:
            thread.join(10)
    assert isinstance(told[lost.id], Fenced)
    assert (told[first.id], told[kept.id]) == ("", "")
    assert world.steps(lost.run) == []


def test_one_fence_proves_nothing_for_another(world: World) -> None:
    """The same run twice in one commit: by who lost its claim, and by who has it now."""
    first, now = hold(world), hold(world)
    lost = replace(now, fence=now.fence - 1)
    told: Outcome = {}
    by_lost: Outcome = {}
    with as_role("placet_worker"):
        with one_in_the_way(first):
            threads = all_but_the_first_wait(first, [], told)
            threads += [record(lost, by_lost), record(now, told)]
            from runs.transitions.together import together

            wait_for(lambda: len(together._waiting) == 2)
        for thread in threads:
            thread.join(10)
    assert told[now.id] == ""
    assert isinstance(by_lost[lost.id], Fenced)


def test_what_the_database_refuses_of_one_keeps_nobody_else_from_it(world: World) -> None:
    first, bad, kept = [hold(world) for _ in range(3)]
    told: Outcome = {}
    with as_role("placet_worker"):
        with one_in_the_way(first):
            threads = all_but_the_first_wait(first, [], told)
            threads += [record(bad, told, kind="k" * 17), record(kept, told)]
            from runs.transitions.together import together

            wait_for(lambda: len(together._waiting) == 2)
        for thread in threads:
            thread.join(10)
    assert isinstance(told[bad.id], DatabaseError)
    assert not isinstance(told[bad.id], OperationalError)
    assert (told[first.id], told[kept.id]) == ("", "")
    assert world.steps(bad.run) == []


def head_of(claim: Held) -> tuple[int, int]:
    """How far the journal of a run is, and by its claim's row."""
    count = Event.objects.filter(run=claim.id).count()
    return count, Claim.objects.get(run=claim.id).last_seq


def test_a_step_that_has_ended_is_not_recorded_again_and_leaves_no_event(world: World) -> None:
    """With others in one commit, and alone."""
    first, ended, kept = [hold(world) for _ in range(3)]
    told: Outcome = {}
    with as_role("placet_worker"):
        transitions.record(ended, recording(ended))
        before = head_of(ended)
        with one_in_the_way(first):
            threads = all_but_the_first_wait(first, [ended, kept], told)
        for thread in threads:
            thread.join(10)
        assert isinstance(told[ended.id], ClaimMissed)
        assert (told[first.id], told[kept.id]) == ("", "")
        with pytest.raises(ClaimMissed):
            transitions.record(ended, recording(ended))
        assert head_of(ended) == before == (2, 2)


def test_whose_run_is_locked_waits_alone_and_keeps_nobody_else_waiting(world: World) -> None:
    first, stuck, *others = [hold(world) for _ in range(4)]
    told: Outcome = {}
    with as_role("placet_worker"):
        with one_in_the_way(stuck):
            with one_in_the_way(first):
                threads = all_but_the_first_wait(first, [stuck, *others], told)
            wait_for(lambda: len(told) == 3)
            assert stuck.id not in told
        for thread in threads:
            thread.join(10)
    assert set(told.values()) == {""}
    (shared,) = {transaction_of(other) for other in others}
    assert transaction_of(stuck) != shared


def test_a_lost_connection_is_told_to_all_who_shared_it(world: World) -> None:
    first, *others = [hold(world) for _ in range(4)]
    told: Outcome = {}
    with as_role("placet_worker"):
        with step_in_the_way(others[-1]) as other:
            with one_in_the_way(first):
                threads = all_but_the_first_wait(first, others, told)
                before = waiting_backends()
            # Now the shared commit stands at the step of one of its runs.
            wait_for(lambda: len(waiting_backends()) == 1 and waiting_backends() != before)
            other.execute("SELECT pg_terminate_backend(%s)", waiting_backends())
            for thread in threads:
                thread.join(10)
        for thread in threads:
            thread.join(10)
    assert told[first.id] == ""
    assert all(isinstance(told[claim.id], OperationalError) for claim in others)
    assert [world.steps(claim.run) for claim in others] == [[], [], []]


@contextmanager
def step_in_the_way(claim: Held) -> Iterator[Any]:
    """Somebody is about to commit, or not, a step at the very same position."""
    with admin() as other:
        other.autocommit = False
        other.execute("SET LOCAL session_replication_role = replica")
        other.execute(
            "INSERT INTO runs_step (id, tenant, run_id, position, kind, name, effect, is_money,"
            " is_remote, status, arguments, digest, key, attempt, failures, held_because)"
            " VALUES (%s, 't', %s, 0, 'tool', 'add', 'safe', false, false, 'succeeded',"
            " '', '', '', 1, 0, '')",
            [new_id(), claim.id],
        )
        yield other
        other.rollback()


@pytest.mark.parametrize("status", ["failed", "ready"])
def test_only_what_ended_well_is_written_with_others(world: World, status: str) -> None:
    from runs.transitions import together

    claim = hold(world)
    values = dict(recording(claim).__dict__)
    assert together.is_possible(values)
    assert not together.is_possible(values | {"status": status})
    assert not together.is_possible(values | {"takes": claim.id})
    assert replace(recording(claim), status=status).status == status

"""A process that was frozen and thaws after it has been taken over: it writes nothing, by name,
and starts nothing. Each has a twin without the fence, which must see what the fence prevents."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError

from console.embedded.processes import children_of
from runs import claims, deadlines, recovery, transitions, worker
from runs.models import Event, Step, StepClaim
from tests.crash.crew import Crew
from tests.harness import World, admin, as_role
from tests.servers import Servers
from tests.zoo import ledger

CLAIM_SECONDS = 1.0
TWIN = pytest.mark.parametrize("fence", ["on", "off"])


@contextmanager
def crew_of(role: str, servers: Servers, fence: str) -> Iterator[Crew]:
    """This process with short claims; with the fence taken away, if it is off."""
    modules = "tests.zoo" if fence == "on" else "tests.zoo,tests.concurrency.unfenced"
    variables = {"PLACET_CLAIM_SECONDS": str(CLAIM_SECONDS), "PLACET_WORKFLOWS": modules}
    crew = Crew(servers, [role], **variables)
    try:
        yield crew
    finally:
        crew.dismiss()


@contextmanager
def frozen(crew: Crew, role: str) -> Iterator[None]:
    """All threads of a process stand still, until its claims have ended and longer."""
    (player,) = children_of(crew.nurseries[role].pid)
    os.kill(player, signal.SIGSTOP)
    try:
        time.sleep(CLAIM_SECONDS * 1.2)
        yield
    finally:
        os.kill(player, signal.SIGCONT)


def nobody(plan: object = None) -> dict[str, object]:
    """A plan in which people do nothing."""
    return {}


@pytest.mark.processes
@TWIN
def test_a_worker_that_thaws_after_the_takeover_writes_nothing(
    world: World,
    servers: Servers,
    fence: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another has the run and is about to take the same step; once that is recorded, the database
    would refuse a second one also without the fence."""
    run = world.start("adding", numbers=[1])
    monkeypatch.setattr("django.conf.settings.PLACET_CLAIM_SECONDS", 60)
    taken: list[Any] = []

    def take_over() -> None:
        with frozen(crew, "worker"), as_role("placet_worker"):
            taken.append(claims.take_run(run.id))

    with crew_of("worker", servers, fence) as crew:
        _, was_held = crew.hold("worker", nobody(), ["called:add", 1], take_over)
        assert was_held
    done = Event.objects.filter(run=run, kind="step.succeeded", position=0)
    said = capfd.readouterr().err
    if fence == "on":
        assert not done.exists()
        assert f"fenced: The claim on run {run.id} with fence 1 is lost." in said
        with as_role("placet_worker"):
            worker._slice(taken[0])
        assert (world.run_now(run).status, done.count()) == ("succeeded", 1)
    else:
        assert done.exists(), "without the fence who has lost a run goes on with it"


@pytest.mark.processes
@TWIN
def test_an_executor_that_thaws_after_the_takeover_writes_nothing(
    world: World, servers: Servers, fence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    step = _registering(world)

    def take_over() -> None:
        with frozen(crew, "executor"):
            _begin_again(step)

    with crew_of("executor", servers, fence) as crew:
        _, was_held = crew.hold("executor", nobody(), ["called:register", 1], take_over)
        assert was_held
    status = Step.objects.get(pk=step.pk).status
    said = capfd.readouterr().err
    if fence == "on":
        assert (status, StepClaim.objects.get(step=step).holder) == ("running", "another")
        assert f"fenced: The claim on step {step.id} with fence 1 is lost." in said
    else:
        assert status == "succeeded", "without the fence it ends what another has begun"


@pytest.mark.processes
@TWIN
def test_an_executor_that_thaws_before_its_call_starts_nothing(
    world: World, servers: Servers, fence: str
) -> None:
    step = _registering(world)

    def take_over() -> None:
        with frozen(crew, "executor"):
            _begin_again(step)

    with crew_of("executor", servers, fence) as crew:
        _, was_held = crew.hold("executor", nobody(), ["calling:register", 1], take_over)
        assert was_held
    assert len(ledger("register-called")) == (0 if fence == "on" else 1)


@pytest.mark.parametrize("watchdog", ["on", "off"])
def test_who_is_cut_off_from_the_database_stops_before_the_claim_ends(
    world: World, monkeypatch: pytest.MonkeyPatch, watchdog: str
) -> None:
    """Its claim of three seconds is called lost after two; the tool, which would take four,
    is made to leave then."""
    run = world.start("firing", name="x", seconds=4)
    world.work()
    monkeypatch.setitem(claims.RENEW, "step", "SELECT 1 / 0 WHERE %s + %s + %s IS NULL")
    if watchdog == "off":
        monkeypatch.setattr(deadlines.Deadline, "act", lambda self: None)
    began = time.monotonic()
    world.execute()
    took = time.monotonic() - began
    if watchdog == "on":
        assert 1.5 < took < 3.0
        assert not ledger("fired")
        assert world.steps(run)[1].status == "running", "nothing was recorded of it"
    else:
        assert ledger("fired")


def test_a_line_that_breaks_when_a_run_ends_is_no_failure_of_the_run(world: World) -> None:
    """A transaction that loses its connection opens another, which is no sign of health."""
    from django.db import connection

    from runs import points

    run = world.start("adding", numbers=[1])

    def pid_of(line: Any) -> int:
        return int(line.connection.info.backend_pid)

    def cut(point: str) -> None:
        if point == "committed:step.succeeded":
            points.observer = None
            with admin() as superuser:
                superuser.execute("SELECT pg_terminate_backend(%s)", [pid_of(connection)])

    points.observer = cut
    try:
        with as_role("placet_worker"), pytest.raises(OperationalError):
            worker.advance(run.id)
    finally:
        points.observer = None
    assert world.run_now(run).status == "running"
    with as_role("postgres"):
        from runs.models import Claim

        Claim.objects.filter(run=run).update(expires_at=None)
    with as_role("placet_worker"):
        assert worker.advance(run.id)
    assert world.run_now(run).status == "succeeded"


def _registering(world: World) -> Step:
    run = world.start("registering", names=["x"])
    world.work()
    (step,) = world.steps(run)
    return step


def _begin_again(step: Step) -> None:
    """Another executor has taken the step over, and is at it."""
    with as_role("placet_executor"):
        assert recovery.recover_lost_steps() == 1
        transitions.start_step(step.id, holder="another", seconds=60)

"""A child that dies is noticed by its parent's sweep at once, long before its claim would end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from runs.models import StepClaim
from tests import zoo
from tests.harness import World
from tests.servers import Servers
from tests.stack import Stack
from tests.zoo import ledger

CLAIM_SECONDS = 60
NOTICED_SECONDS = 15.0
"""A bound for a busy machine; far below the claim, which is what is being tested."""


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.processes
def test_a_killed_executor_child_is_taken_over_within_its_claim(
    world: World, servers: Servers
) -> None:
    with Stack(servers, PLACET_CLAIM_SECONDS=str(CLAIM_SECONDS)) as stack:
        run = world.start("paying", amounts=[100])
        stack.wait_until(lambda: bool(world.gates(run)), "the gate to open")
        switch = zoo.world_dir() / "pay-waits"
        switch.touch()
        world.approve_all(run)
        stack.wait_until(lambda: bool(ledger("pay-called")), "the payment to begin")
        holder = StepClaim.objects.exclude(holder="").get().holder
        pid = int(holder.split(":")[2])
        assert pid in children_of(stack.processes["executor"].pid)
        os.kill(pid, signal.SIGKILL)
        switch.unlink()
        stack.wait_until(
            lambda: world.run_now(run).status == "succeeded", "the takeover", NOTICED_SECONDS
        )
    assert len(ledger("paid")) == 1
    assert len(ledger("pay-called")) == 2


@pytest.mark.processes
def test_a_frozen_executor_that_thaws_after_the_takeover_records_nothing(
    world: World, servers: Servers
) -> None:
    """SIGSTOP, takeover when the claim has ended, SIGCONT: the late outcome is fenced."""
    with Stack(servers, PLACET_CLAIM_SECONDS="1.5") as stack:
        run = world.start("paying", amounts=[100])
        stack.wait_until(lambda: bool(world.gates(run)), "the gate to open")
        switch = zoo.world_dir() / "pay-waits"
        switch.touch()
        world.approve_all(run)
        stack.wait_until(lambda: bool(ledger("pay-called")), "the payment to begin")
        pid = int(StepClaim.objects.exclude(holder="").get().holder.split(":")[2])
        os.kill(pid, signal.SIGSTOP)
        try:
            stack.wait_until(lambda: len(ledger("pay-called")) == 2, "the takeover")
            switch.unlink()
            stack.wait_until(lambda: world.run_now(run).status == "succeeded", "the run to succeed")
        finally:
            os.kill(pid, signal.SIGCONT)
        stack.wait_until(lambda: "fenced" in stack.output("executor"), "the late write")
    assert len(ledger("paid")) == 1
    step = world.steps(run)[1]
    assert (step.status, step.attempt) == ("succeeded", 2)

"""How long until another takes over, with the settings that are shipped."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable

from runs.models import Claim, Run, StepClaim
from tests.harness import World
from tests.servers import Servers
from tests.storm.fleet import Fleet

SHIPPED_CLAIM_SECONDS = 30.0
TIMES = 3
SHORT, LONG = 6.0, 120.0
"""Seconds of a step: one that is taken over goes on, and holds a child for so long."""


def measure(world: World, servers: Servers) -> dict[str, str]:
    """Seconds from a child's kill -9, and from the loss of a whole host, to the next claim."""
    with Fleet(servers, claim_seconds=SHIPPED_CLAIM_SECONDS, PLACET_SWEEP_SECONDS="0.5"):
        workers = [_after(_kill, *_slow_run(world, SHORT)) for _ in range(TIMES)]
        executors = [_after(_kill, *_slow_step(world)) for _ in range(TIMES)]
        lost = _after(_freeze, *_slow_run(world, LONG))
    return {
        "take-over of a killed child, runs": _spread(workers),
        "take-over of a killed child, steps": _spread(executors),
        "take-over of a lost host": f"{lost:.2f} s, of claims of {SHIPPED_CLAIM_SECONDS:g} s",
    }


def _slow_run(world: World, seconds: float) -> tuple[str, Callable[[], bool]]:
    """A run under way: who holds it, and whether another has it now."""
    run = world.start("slowing", seconds=seconds)
    _until(lambda: bool(Claim.objects.get(run=run).holder))
    time.sleep(0.3)
    first = Claim.objects.get(run=run)
    return first.holder, lambda: Claim.objects.get(run=run).fence > first.fence


def _slow_step(world: World) -> tuple[str, Callable[[], bool]]:
    run: Run = world.start("firing", name="x", seconds=LONG)
    _until(lambda: StepClaim.objects.exclude(holder="").filter(step__run=run).exists())
    time.sleep(0.3)
    first = StepClaim.objects.get(step__run=run)
    return first.holder, lambda: StepClaim.objects.get(step__run=run).fence > first.fence


def _after(hurt: Callable[[str], None], holder: str, is_taken: Callable[[], bool]) -> float:
    hurt(holder)
    began = time.monotonic()
    _until(is_taken)
    return time.monotonic() - began


def _kill(holder: str) -> None:
    os.kill(int(holder.split(":")[2]), signal.SIGKILL)


def _freeze(holder: str) -> None:
    """The whole process of a holder stands still, as a host that is gone; it is killed later."""
    os.killpg(os.getpgid(int(holder.split(":")[2])), signal.SIGSTOP)


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SHIPPED_CLAIM_SECONDS + 60
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit("Nobody took over.")
        time.sleep(0.01)


def _spread(seconds: list[float]) -> str:
    return f"p50 {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s"

"""A world in which notices are told: its channels, its sweeps, its executor with a vault."""

from __future__ import annotations

import time
from typing import Any

from approvals import notices
from approvals.models import Channel, Notice
from console.notices.channels import add_channel
from runs import canonical
from runs.models import Run, Step
from tests.approvals.receiver import KEY, Receiver
from tests.demo.played import vault_identity
from tests.harness import World, as_role

ALL = [str(kind) for kind in notices.ABOUT_GATES]
SECONDS = 30.0


def channel(world: World, url: str, **given: Any) -> Channel:
    """Erin adds a channel, through the real vault."""
    asked: dict[str, Any] = {"name": "Finance", "way": "webhook", "kinds": ALL, "key": KEY}
    with vault_identity(world.servers, "web"), as_role("placet_web"):
        return add_channel(world.erin, url=url, **(asked | given))


def sweep() -> int:
    """What the gatekeeper would do now about notices."""
    with as_role("placet_gatekeeper"):
        return notices.sweep()


def tell(world: World) -> None:
    """All processes, until nothing is left to be told or delivered at once."""
    with vault_identity(world.servers, "executor"):
        world.settle()
        while sweep():
            world.settle()


def deliver_until_done(world: World, count: int, receiver: Receiver) -> None:
    """Plays on until so many calls have reached the receiver; retries take their time."""
    until = time.monotonic() + SECONDS
    while len(receiver.calls) < count:
        assert time.monotonic() < until, receiver.calls
        tell(world)
        time.sleep(0.05)
    tell(world)


def kinds(world: World) -> list[str]:
    told = Notice.objects.filter(tenant=world.tenant).order_by("written_at", "id")
    return list(told.values_list("kind", flat=True))


def deliveries(world: World) -> list[Run]:
    return list(Run.objects.filter(tenant=world.tenant, workflow="placet.notify").order_by("id"))


def steps_of(run: Run) -> list[Step]:
    return list(Step.objects.filter(run=run, name="placet.deliver").order_by("position"))


def result(run: Run) -> Any:
    run.refresh_from_db()
    return None if run.result is None else canonical.decode(run.result)

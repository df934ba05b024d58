"""Steps in doubt or paused, as tests of the console want them."""

from __future__ import annotations

from runs.models import Run, Step
from tests import zoo
from tests.harness import World, as_role


def doubtful(world: World) -> Step:
    """A launch whose answer was lost, in a run of Alice's."""
    (zoo.world_dir() / "launch-drops").write_text("1")
    run = world.start("launching", name="x")
    world.settle()
    (step,) = world.steps(run)
    assert step.status == "in_doubt"
    return step


def doubtful_payment(world: World, amount_minor: int = 9870) -> Step:
    """A payment of Alice's that Bob approved, and that broke off in every attempt."""
    run = world.park_at_gates(amount_minor)
    world.approve_all(run)
    world.keep_gates()
    (zoo.world_dir() / "pay-breaks").write_text("99")
    while not (found := _in_doubt(run)):
        world.execute()
    (zoo.world_dir() / "pay-breaks").write_text("0")
    return found


def paused_seat(world: World) -> Step:
    """A step of Alice's whose attempts are spent: the office was closed each time."""
    switch = zoo.world_dir() / "seat-later"
    switch.write_text("99")
    run = world.start("calling", tool="seat", arguments={"name": "Ada"})
    for _ in range(50):
        world.settle()
        if found := Step.objects.filter(run=run, status="paused").first():
            switch.write_text("0")
            return found
    raise AssertionError("The step was not paused.")


def _in_doubt(run: Run) -> Step | None:
    return Step.objects.filter(run=run, is_money=True, status="in_doubt").first()


def make_operators(world: World) -> None:
    """Bob and Carol may settle, as in the demo; Erin may where it is not about money."""
    from console.roles import set_roles

    with as_role("placet_owner"):
        set_roles(world.bob, {"reviewer", "operator"})
        set_roles(world.carol, {"reviewer", "operator"})
        set_roles(world.erin, {"admin", "operator"})

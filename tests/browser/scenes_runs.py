"""States of runs for the gallery: how they stand, how they are steered, settled and scheduled."""

from __future__ import annotations

from collections.abc import Iterator

from playwright.sync_api import Page

from runs import limits, transitions, worker
from runs.models import Run, Step, StepClaim
from tests import steered, zoo
from tests.browser.scenes import Scene, send, visiting
from tests.browser.test_steering import beat
from tests.harness import World, admin, as_role
from tests.pages import visitors
from tests.runs.test_classes import go_on, lose_a_worker

PAGE = "/runs/{}/"


def run_at(page: Page, run: Run | None, state: str) -> Iterator[str]:
    assert run is not None
    page.goto(PAGE.format(run.id))
    yield state


def going_on(world: World, page: Page) -> Iterator[str]:
    """Everything that has not ended: nobody has taken it, it works, it waits for this or that."""
    yield from run_at(page, world.start("adding", numbers=[1, 2, 3]), "ready")
    busy = world.start("registering", names=["Ada"])
    with as_role("placet_worker"):
        worker.advance(busy.id)
    step = Step.objects.get(run=busy)
    with as_role("placet_executor"):
        Step.objects.filter(pk=step.pk).update(status="running", attempt=1)
        StepClaim.objects.create(step=step, tenant=world.tenant, fence=1, holder="played")
    beat(world, step, 40)
    yield from run_at(page, busy, "at work")
    for state, workflow, given in (
        ("sleeping", "sleeping", {"seconds": 1000.0}),
        ("for a signal", "listening", {"signals": ["go"], "timeout": 900.0}),
        ("for the first of two", "hurrying", {"seconds": 900.0}),
        ("for a payment", "paying", {"amounts": [9870, 4200]}),
    ):
        run = world.start(workflow, **given)
        with as_role("placet_worker"):
            worker.drain()
        world.keep_gates()
        yield from run_at(page, run, state)
    asked = visitors.make_question(world)
    yield from run_at(page, asked.run, "for an answer")
    held = world.start("paying", amounts=[100], currency="SEK")
    with as_role("placet_worker"):
        worker.drain()
    world.keep_gates()
    yield from run_at(page, held, "held without a rule")
    steered.cancel(run, reason="It is a copy.")
    yield from run_at(page, run, "to be cancelled")
    steered.terminate(asked.run)
    yield from run_at(page, asked.run, "to be terminated")
    steered.pause(held)
    world.work()
    yield from run_at(page, held, "paused")
    yield from visiting(page, "/runs/", "/")


def ended(world: World, page: Page) -> Iterator[str]:
    well = world.park_at_gates(9870)
    world.approve_all(well)
    world.settle()
    yield from run_at(page, well, "succeeded")
    page.locator("details.flow-step > summary").nth(1).click()
    page.locator("details.more > summary:visible").first.click()
    yield "opened"
    denied = world.park_at_gates(9870)
    world.decide(world.gates(denied)[0], world.bob, "deny", "Not this one.")
    world.settle()
    yield from run_at(page, denied, "denied")
    failed = world.start("refusing")
    long = world.start("registering", names=["word" * 40, "Ada Lovelace, countess " * 20])
    world.settle()
    yield from run_at(page, failed, "failed")
    yield from run_at(page, long, "long values")
    cancelled = world.start("sleeping", seconds=1000.0)
    world.settle()
    steered.cancel(cancelled)
    world.settle()
    yield from run_at(page, cancelled, "cancelled")
    many = world.start("adding", numbers=list(range(60)))
    world.settle()
    yield from run_at(page, many, "many steps")
    (zoo.world_dir() / "unbook-refuses").write_text("1")
    undone = world.start("travelling", places=["Rome", "Oslo"], ends_well=False)
    world.settle()
    yield from run_at(page, undone, "undone")


def set_aside(world: World, page: Page) -> Iterator[str]:
    changed = world.start("changing")
    world.settle()
    (zoo.world_dir() / "broken-code").write_text("1")
    send(page, f"/runs/{changed.id}/signal/", "Send the signal", name="go", payload='{"ok": true}')
    yield "signal sent"
    world.settle()
    yield from run_at(page, changed, "mismatch")
    poison = world.start("adding", numbers=[1])
    for _ in range(limits.MAX_DEATHS):
        lose_a_worker(poison)
    go_on(poison)
    yield from run_at(page, poison, "poison")
    full = world.start("adding", numbers=[1, 2])
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE runs_claim SET last_seq = %s WHERE run_id = %s", [limits.MAX_EVENTS, full.pk]
        )
    world.settle()
    yield from run_at(page, full, "journal full")
    older = world.start("sleeping", seconds=1000.0)
    world.settle()
    with as_role("placet_worker"):
        transitions.quarantine(older.id, {"kind": "UnknownWorkflow", "message": "It is gone."})
    yield from run_at(page, older, "code gone")


def families(world: World, page: Page) -> Iterator[str]:
    children = [{"workflow": "adding", "input": {"numbers": [1]}}] * 24
    children += [{"workflow": "sleeping", "input": {"seconds": 1000.0}}]
    parent = world.start("parenting", children=[*children, {"workflow": "refusing", "input": {}}])
    world.settle()
    yield from run_at(page, parent, "parent")
    yield from run_at(page, Run.objects.filter(parent=parent).first(), "child")
    page.goto(f"/runs/?parent={parent.id}")
    yield "children of one"
    first = world.start("counting", number=0, most=1)
    world.settle()
    yield from run_at(page, first, "goes on in another")
    yield from run_at(page, Run.objects.get(continued_from=first), "continues")
    run = world.start("adding", numbers=[1, 2, 3])
    world.settle()
    page.goto(f"/runs/{run.id}/fork/?at=0")
    yield "from the beginning"
    send(page, f"/runs/{run.id}/fork/?at=1", "Start the fork", input__numbers="7")
    yield "refused"
    send(page, f"/runs/{run.id}/fork/?at=1", "Start the fork")
    world.settle()
    page.reload()
    yield "a fork"
    yield from run_at(page, run, "with a fork")


SCENES: dict[str, tuple[str, Scene]] = {
    "going on": ("alice", going_on),
    "ended": ("alice", ended),
    "set aside": ("alice", set_aside),
    "families": ("alice", families),
}

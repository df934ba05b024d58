"""States of what people do with runs for the gallery: started, steered, settled, scheduled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from playwright.sync_api import Page

from runs.models import Run, Schedule
from tests import steered
from tests.browser.scenes import EVERYTHING, Scene, send, visiting
from tests.browser.scenes_runs import run_at
from tests.doubts import doubtful, doubtful_payment, make_operators, paused_seat
from tests.harness import World, admin
from tests.pages import visitors
from tests.runs.test_schedules import due, fire


def steering(world: World, page: Page) -> Iterator[str]:
    run = world.start("sleeping", seconds=1000.0)
    waiting = world.start("listening", signals=["go", "stop"])
    world.settle()
    for verb in ("pause", "cancel", "terminate"):
        page.goto(f"/runs/{run.id}/{verb}/")
        yield verb
    send(page, f"/runs/{run.id}/pause/", "Pause the run")
    yield "refused"
    steered.pause(run)
    page.goto(f"/runs/{run.id}/resume/")
    yield "resume"
    yield from visiting(page, f"/runs/{run.id}/signal/", f"/runs/{waiting.id}/signal/")
    send(page, f"/runs/{waiting.id}/signal/", "Send the signal", payload="{")
    yield "refused"
    page.goto("/runs/bulk/?workflow=adding")
    yield "none fits"
    page.goto("/runs/bulk/?created_from=yesterday")
    yield "no moment"
    page.goto("/runs/bulk/?workflow=listening")
    yield "one fits"
    page.goto("/runs/bulk/?requested_by=alice")
    yield "counted"
    send(page, "", "Pause 2")
    yield "refused"
    page.get_by_label("Reason").fill("The bank is closed.")
    send(page, "", "Cancel 2")
    yield "to confirm"
    send(page, "", "Cancel 2 runs")
    yield "done"


def starting(world: World, page: Page) -> Iterator[str]:
    page.goto("/runs/start/")
    yield "which"
    for workflow in ("paying", "rushing", "listening"):
        page.goto(f"/runs/start/?workflow={workflow}")
        yield workflow
    send(page, "/runs/start/?workflow=paying", "Start the run", input__amounts="[1, 2")
    yield "refused"
    send(page, "/runs/start/?workflow=adding", "Start the run", input__numbers="[1, 2]")
    yield "started"
    with admin() as superuser:
        superuser.execute("UPDATE runs_workflowdeclaration SET is_current = false")
    try:
        yield from visiting(page, "/runs/start/", "/schedules/new/")
    finally:
        with admin() as superuser:
            superuser.execute("UPDATE runs_workflowdeclaration SET is_current = true")


def listed(world: World, page: Page) -> Iterator[str]:
    for _ in range(9):
        world.start("adding", numbers=[1])
    world.start("refusing")
    world.park_at_gates(9870)
    page.goto("/runs/")
    yield "a few"
    page.goto("/runs/?status=failed")
    yield "filtered"
    page.goto("/runs/?q=nobody")
    yield "none matches"
    for _ in range(60):
        world.start("sleeping", seconds=1000.0)
    page.goto("/runs/")
    yield "long"
    page.get_by_role("link", name="Older").first.click()
    page.wait_for_load_state()
    yield "older"


def questions(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/questions/")
    step = visitors.make_question(world)
    yield from visiting(page, "/questions/", "/")
    address = f"/runs/{step.run_id}/steps/{step.position}/answer/"
    page.goto(address)
    yield "open"
    send(page, address, "Give this answer", input__count="0")
    yield "refused"
    send(page, address, "Give this answer", input__count="3")
    yield "given"
    world.settle()
    page.goto(address)
    yield "answered"


def looking_at_a_question(world: World, page: Page) -> Iterator[str]:
    step = visitors.make_question(world)
    yield from visiting(page, f"/runs/{step.run_id}/steps/{step.position}/answer/", "/questions/")


def settling(world: World, page: Page) -> Iterator[str]:
    """Carol settles what Alice's runs do not know of."""
    make_operators(world)
    step = doubtful(world)
    address = f"/runs/{step.run_id}/steps/{step.position}/settle/"
    page.goto(f"/runs/{step.run_id}/")
    yield "the run"
    page.goto(address)
    yield "in doubt"
    send(page, address, "It happened")
    yield "refused"
    why = {"reason": "I called them."}
    send(page, address, "It happened", result='{"reference": "A-17"}', **why)
    yield "to confirm"
    send(page, "", "Say so")
    yield "said"
    world.settle()
    page.goto(address)
    yield "settled"
    money = doubtful_payment(world)
    address = f"/runs/{money.run_id}/steps/{money.position}/settle/"
    page.goto(address)
    yield "a payment"
    send(page, address, "Give up", **why)
    send(page, "", "Say so")
    page.goto(address)
    yield "one of two"
    page.goto(f"/gates/{world.gates(money.run)[0].id}/")
    yield "in doubt"
    seat = paused_seat(world)
    address = f"/runs/{seat.run_id}/steps/{seat.position}/settle/"
    page.goto(address)
    yield "paused"
    wrong = '{"name": 7, "colour": "red"}'
    send(page, address, "Retry with other arguments", arguments=wrong, **why)
    yield "wrong arguments"
    send(page, address, "Retry", **why)
    yield "retry to confirm"
    yield from run_at(page, seat.run, "with a paused step")
    yield from visiting(page, "/")


def not_ones_own_to_settle(world: World, page: Page) -> Iterator[str]:
    make_operators(world)
    step = doubtful(world)
    yield from visiting(page, f"/runs/{step.run_id}/steps/{step.position}/settle/", "/")


def schedules(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/schedules/", "/schedules/new/")
    new = "/schedules/new/?workflow=adding"
    page.goto(new)
    yield "fresh"
    given = {"name": "Mornings", "cron": "0 9 * * 1-5", "input__numbers": "[1, 2]"}
    send(page, new, "Show the next five times", **given)
    yield "next times"
    send(page, new, "Save the schedule", **(given | {"cron": "0 9 * *", "catch_up_seconds": "1"}))
    yield "refused"
    send(page, new, "Save the schedule", **given)
    yield "made"
    schedule = Schedule.objects.get()
    where = f"/schedules/{schedule.id}"
    yield from visiting(page, "/schedules/", f"{where}/edit/")
    send(page, f"{where}/edit/", "Save the schedule", cron="")
    yield "refused"
    for verb in ("pause", "trigger", "delete"):
        page.goto(f"{where}/{verb}/")
        yield verb
    send(page, f"{where}/pause/", "Pause the schedule")
    yield "refused"
    page.goto(f"{where}/backfill/")
    yield "fresh"
    page.locator("[name=since]").fill("2026-11-09T09:00")
    page.locator("[name=until]").fill("2026-11-02T09:00")
    page.locator("main form button[type=submit]").first.click()
    yield "refused"
    page.locator("[name=since]").fill("2026-11-02T09:00")
    page.locator("[name=until]").fill("2026-11-09T09:00")
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_load_state()
    yield "counted"
    page.locator("main form button[value=confirmed]").click()
    page.wait_for_load_state()
    yield "queued"
    due(schedule, timedelta(hours=1))
    fire(world)
    send(page, f"{where}/pause/", "Pause the schedule", reason="The bank is closed.")
    yield "paused"
    page.goto(f"{where}/resume/")
    yield "resume"
    yield from run_at(page, Run.objects.first(), "of a schedule")
    for number in range(12):
        visitors.make_schedule(world, name=f"Number {number}")
    page.goto("/schedules/")
    yield "long"
    send(page, f"{where}/delete/", "Delete the schedule")
    page.goto(f"{where}/")
    yield "deleted"


SCENES: dict[str, tuple[str, Scene]] = {
    "steering": ("alice", steering),
    "starting": ("alice", starting),
    "runs listed": (EVERYTHING, listed),
    "questions": ("alice", questions),
    "a question for others": ("dave", looking_at_a_question),
    "settling": ("carol", settling),
    "not ones own to settle": ("alice", not_ones_own_to_settle),
    "schedules": ("alice", schedules),
    "schedules of others": ("bob", lambda world, page: visiting(page, "/schedules/")),
}

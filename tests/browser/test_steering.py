"""Steering in a browser: without any script, and with what changes coming up by itself."""

from __future__ import annotations

from django.utils import timezone
from playwright.sync_api import expect

from runs import dispatch
from runs.models import Run, Step, StepClaim
from tests.browser.web import Console, wait_for_live
from tests.harness import World, as_role
from tests.pages import visitors

WHY = "The bank is closed."


def test_a_run_is_paused_and_resumed_without_any_script(world: World, console: Console) -> None:
    run = world.start("sleeping", seconds=1000.0)
    world.settle()
    page = console.open("alice", java_script_enabled=False)
    page.goto(f"/runs/{run.id}/")
    page.get_by_role("link", name="Pause").click()
    page.get_by_label("Reason").fill(WHY)
    page.get_by_role("button", name="Pause the run").click()
    expect(page.locator(".run-sentence")).to_contain_text(f"alice paused it, because: {WHY}")
    page.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume the run").click()
    expect(page.get_by_text("The run goes on.")).to_be_visible()
    assert Run.objects.get().status == "ready"


def test_a_question_is_answered_from_home_with_the_keyboard_alone(
    world: World, console: Console
) -> None:
    step = visitors.make_question(world)
    page = console.open("bob")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{step.run_id}/steps/0/answer/")
    page.get_by_label("count").fill("3")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{step.run_id}/")
    world.settle()
    assert world.result(step.run) == [3, None]


def test_the_heartbeat_of_a_long_step_moves_the_open_page(world: World, console: Console) -> None:
    run = world.start("registering", names=["Ada"])
    world.work()
    step = Step.objects.get(run=run)
    with as_role("placet_executor"):
        Step.objects.filter(pk=step.pk).update(status="running", attempt=1)
        StepClaim.objects.create(step=step, tenant=world.tenant, fence=1, holder="played")
    page = console.open("alice")
    page.goto(f"/runs/{run.id}/")
    wait_for_live(page)
    for done in (1, 40):
        beat(world, step, done)
        expect(page.locator(".run-summary")).to_contain_text(f"{done} of 120")
        bar = page.locator(".run-summary progress")
        expect(bar).to_have_attribute("value", str(done))


def beat(world: World, step: Step, done: int) -> None:
    """What a tool tells of itself: it makes no event, so the hint has no number."""
    with as_role("placet_executor"):
        StepClaim.objects.filter(pk=step.pk).update(
            beat_at=timezone.now(), progress_done=done, progress_total=120, progress_note="pages"
        )
    dispatch.show(world.tenant, "run", step.run_id, 0)

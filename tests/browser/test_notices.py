"""Comments and notices come to open pages by themselves, and take nothing away."""

from __future__ import annotations

from playwright.sync_api import expect

from approvals.comments import comment
from tests.approvals import told
from tests.browser.web import Console, wait_for_live
from tests.harness import World, as_role
from tests.pages import visitors


def test_a_comment_comes_to_an_open_gate_and_leaves_what_is_being_typed(
    world: World, console: Console
) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob")
    page.goto(f"/gates/{gate.id}/")
    wait_for_live(page)
    page.get_by_role("textbox", name="Comment").fill("Not yet se")
    page.get_by_label("Reason").fill("Because")
    with as_role("placet_web"):
        comment(gate_id=gate.id, tenant=world.tenant, person=world.alice, text="It is urgent.")
    expect(page.locator("#comments").get_by_text("It is urgent.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Comment")).to_have_value("Not yet se")
    expect(page.get_by_label("Reason")).to_have_value("Because")
    page.get_by_role("button", name="Add the comment").click()
    expect(page.locator("#comments").get_by_text("Not yet se")).to_be_visible()
    assert visitors.written()["Decision"] == 0


def test_a_request_comes_to_an_open_list_of_notices(world: World, console: Console) -> None:
    page = console.open("bob")
    page.goto("/notices/")
    wait_for_live(page)
    expect(page.get_by_text("No notices")).to_be_visible()
    world.park_at_gates(9870)
    told.sweep()
    row = page.locator("tr", has_text="€98.70")
    expect(row.get_by_text("Please decide")).to_be_visible()


def test_the_pages_of_notices_fit_a_phone(world: World, console: Console) -> None:
    world.park_at_gates(9870)
    told.sweep()
    visitors.make_channel(world)
    for person, path in (("bob", "/notices/"), ("erin", "/settings/notices/")):
        page = console.open(person)
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        small = page.evaluate(
            "[...document.querySelectorAll('main button, main input, main summary')].filter(e => {"
            " const r = e.getBoundingClientRect(); return r.width && (r.height < 24 ||"
            " r.width < 24) }).map(e => e.outerHTML)"
        )
        assert small == []

"""What can be measured of how pages look: width, contrast, focus, targets. The rest is for eyes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Gate
from tests.approvals import former
from tests.approvals.proposals import frozen
from tests.browser.web import Console, wait_for_live
from tests.doubts import doubtful
from tests.harness import World
from tests.pages import visitors

LONG_PAYEE = "Gemeinschaftspraxis" * 8
PHONE = {"width": 390, "height": 844}
# The text of an element on the nearest background that is not see-through (WCAG 2.2, 1.4.3).
# With `true` what is folded away is looked at as well.
CONTRASTS = """(isAll) => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const parts = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => [r, g, b]
    .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const found = parts(getComputedStyle(e).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!isAll && !element.checkVisibility()) continue;
    if (!own || box.width < 2 || box.height < 2 || element.closest('[disabled], dialog')) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parts(style.color)), light(behind(element))].sort((x, y) => y - x);
    const isLarge = parseFloat(style.fontSize) >= 24;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (isLarge ? 3 : 4.5)) {
      poor.push(`${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
  }
  return poor;
}"""
FOCUS = """() => {
  const element = document.activeElement;
  const seen = [undefined, '::after'].map(part => getComputedStyle(element, part));
  const isOutlined = seen.some(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2);
  const box = element.getBoundingClientRect();
  const isInView = box.bottom > 0 && box.top < innerHeight;
  return {what: element.outerHTML.slice(0, 80), isOutlined, isInView,
          isBody: element === document.body};
}"""

# Where a stop stands on a line below the letter before it, at any width of the element.
STOPS_THAT_BEGIN_A_LINE = """(element) => {
  const box = document.createRange();
  const bottom = (node, at) => {
    box.setStart(node, at);
    box.setEnd(node, at + 1);
    return box.getBoundingClientRect().bottom;
  };
  const found = new Set();
  for (let width = 260; width <= 760; width += 1) {
    element.style.inlineSize = `${width}px`;
    const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    let above = Infinity;
    while (walk.nextNode()) {
      [...walk.currentNode.data].forEach((letter, at) => {
        if (!letter.trim()) return;
        const here = bottom(walk.currentNode, at);
        if (',.'.includes(letter) && here - above > 9) found.add(walk.currentNode.data);
        above = here;
      });
    }
  }
  return [...found];
}"""


def addresses(world: World) -> list[str]:
    """Every page, with something on it that is as long as it may be."""
    run = world.start("paying_to", payee=LONG_PAYEE, amount_minor=99_999_999, currency="EUR")
    world.policy(name="Large", above_minor=1_000_000, up_to_minor=100_000_000, quorum=2)
    world.start("refusing")
    world.park_at_gates(9870)
    world.settle()
    doubt = doubtful(world)
    question, schedule = visitors.make_question(world), visitors.make_schedule(world)
    parent = world.start("parenting", children=[{"workflow": "refusing", "input": {}}] * 3)
    world.settle()
    gate = world.gates(run)[0]
    world.decide(gate, world.carol, reason="Checked. " * 20)
    return [
        *safety_addresses(world, gate),
        "/",
        "/inbox/",
        "/inbox/?view=expiring&sort=amount",
        "/inbox/?view=decided",
        "/inbox/?view=closed",
        f"/gates/{gate.id}/",
        "/runs/",
        f"/runs/{run.id}/",
        f"/runs/{doubt.run_id}/",
        f"/runs/{doubt.run_id}/steps/0/settle/",
        f"/runs/{parent.id}/",
        f"/runs/{question.run_id}/",
        f"/runs/{question.run_id}/pause/",
        f"/runs/{question.run_id}/terminate/",
        f"/runs/{question.run_id}/signal/",
        f"/runs/{parent.id}/fork/?at=0",
        f"/runs/{question.run_id}/steps/0/answer/",
        "/runs/bulk/?workflow=asking",
        "/questions/",
        "/schedules/",
        "/schedules/new/?workflow=adding",
        f"/schedules/{schedule.id}/",
        f"/schedules/{schedule.id}/pause/",
        f"/schedules/{schedule.id}/backfill/",
        "/runs/start/",
        "/runs/start/?workflow=paying",
        "/keys/",
        "/policies/",
        "/policies/2/",
        "/policies/draft/",
        "/secrets/",
        "/secrets/write/",
        "/audit/",
        "/pace/",
        "/second-looks/",
        f"/second-looks/{visitors.make_look(gate).pk}/",
        "/reviewers/",
        "/patterns/",
        "/nowhere/",
        "/accounts/logout/",
    ]


def safety_addresses(world: World, gate: Gate) -> list[str]:
    """The pages of the safeguards, while something with a long name is frozen."""
    visitors.make_safeguards(world)
    frozen(world, "payee", LONG_PAYEE)
    made = visitors.safeguards_of(world.tenant)
    return [
        "/freezes/",
        f"/freezes/new/?gate={gate.id}",
        f"/freezes/{made['freeze'][0]}/thaw/",
        "/changes/",
        f"/changes/{made['change'][0]}/",
        "/groups/",
        "/groups/propose/",
        "/breakglass/",
        "/breakglass/open/",
        f"/breakglass/{made['glass'][0]}/confirm/",
        "/delegations/",
        "/delegations/new/",
        f"/delegations/{made['delegation'][0]}/revoke/",
    ]


@pytest.fixture
def everything(world: World) -> str:
    """Somebody who may see every page."""
    roles = ("operator", "reviewer", "auditor", "admin")
    return visitors.make_person("everything", *roles, tenant=world.tenant).username


def without_not_found(console: Console) -> None:
    """Chromium reports the 404 of the page that is not there."""
    console.faults[:] = [fault for fault in console.faults if "404" not in fault]


@pytest.fixture
def registered(world: World) -> None:
    from runs import registry
    from tests.api.workflows import paying_to
    from tests.harness import as_role

    assert paying_to.name == "paying_to"
    with as_role("placet_owner"):
        registry.register(registry.collect())


@pytest.mark.usefixtures("registered")
def test_no_page_is_wider_than_a_phone(everything: str, world: World, console: Console) -> None:
    page = console.open(everything, viewport=PHONE)
    for path in addresses(world):
        page.goto(path)
        closed = page.locator("main details:not([open]) > summary:visible")
        for _ in range(min(3, closed.count())):
            closed.first.click()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], path
    without_not_found(console)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(
    everything: str, world: World, console: Console, scheme: Any
) -> None:
    page = console.open(everything, color_scheme=scheme)
    for path in addresses(world):
        page.goto(path)
        assert page.evaluate(CONTRASTS, True) == [], path
    without_not_found(console)


def test_what_has_the_focus_is_seen(world: World, console: Console) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob", viewport=PHONE)
    for path in ("/inbox/", f"/gates/{gate.id}/", f"/runs/{gate.run_id}/"):
        page.goto(path)
        wait_for_live(page)
        assert each_focus_is_seen(page) > 5, path


def each_focus_is_seen(page: Page) -> int:
    for count in range(80):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["isBody"]:
            return count
        assert focus["isOutlined"], focus
        assert focus["isInView"], focus
    return 80


def test_targets_are_large_enough_for_a_thumb(world: World, console: Console) -> None:
    gate = world.gates(world.park_at_gates(9870))[0]
    page = console.open("bob", viewport=PHONE)
    page.goto(f"/gates/{gate.id}/")

    page.get_by_text("More", exact=True).click()
    targets = "button:visible, nav.nav a:visible, summary:visible, input:visible"
    for target in page.locator(targets).all():
        box = target.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24, target


def test_no_line_begins_with_the_comma_behind_a_name(world: World, console: Console) -> None:
    former.prepare()
    former.publish(world)
    name = "Gemeinschaftspraxis Dr. Rosa Lindqvist und Dr. Ada Schneider"
    (named,) = former.ask(world, former.payment(9870, creditor=name))
    (unnamed,) = world.gates(world.park_at_gates(9870))
    page = console.open("bob")

    for gate, whom in ((named, f"{name}, account {named.payee}"), (unnamed, unnamed.payee)):
        page.goto(f"/gates/{gate.id}/")
        expect(page.locator("h1")).to_contain_text(f"to {whom}, once, by")
        assert page.locator("h1").evaluate(STOPS_THAT_BEGIN_A_LINE) == []
    world.decide(unnamed, world.bob)
    world.settle()
    page.reload()
    expect(page.locator(".receipt-words")).to_contain_text(f"to {unnamed.payee}, at")
    assert page.locator(".receipt-words").evaluate(STOPS_THAT_BEGIN_A_LINE) == []


def test_the_chosen_theme_is_there_before_any_script(world: World, console: Console) -> None:
    page = console.open("bob", color_scheme="light")
    page.locator("#account summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_css("color-scheme", "dark")

    html = page.context.request.get("/").text()

    assert '<html lang="en-GB" data-theme="dark">' in html
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 17, 21)"

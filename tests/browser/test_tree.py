"""The tree that a screen reader is given: of every page of approvals, in every tier and state.

What is asserted stands in one place, `faults_of`; each page brings only its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from approvals.models import Gate
from tests.approvals import told
from tests.approvals.attacks import BANDS, parked_at
from tests.approvals.enrolled import season
from tests.browser.authenticators import plug_in
from tests.browser.test_any_tool import registering
from tests.browser.test_passkeys import enrol
from tests.browser.web import Console
from tests.harness import World, admin
from tests.pages import visitors

CONTROLS = {
    "button", "link", "textbox", "searchbox", "combobox", "listbox", "option", "checkbox", "radio",
    "switch", "slider", "spinbutton", "menuitem", "tab", "DisclosureTriangle", "Date", "DateTime",
}  # fmt: skip
NAMED = {"dialog", "alertdialog", "region", "navigation", "table", "image", "img"}
LANDMARKS = ("navigation", "region", "form", "search")
BROWSERS_OWN = "Show local date"
"""The button in a field for a date is Chromium's; it follows the name of its field."""
TEXTS = {"StaticText"}
# What the page shows as a state: words beside a drawing, never a colour alone.
STATES = """() => [...document.querySelectorAll('.state, .notice, .tone')]
  .filter(e => e.checkVisibility({visibilityProperty: true}))
  .map(e => e.innerText.trim())"""


@dataclass(frozen=True)
class Node:
    role: str
    name: str
    properties: dict[str, Any]
    children: tuple[str, ...]
    is_left_out: bool


class Tree:
    """What Chromium gives to assistive technology; nodes that it leaves out are left out."""

    def __init__(self, page: Page) -> None:
        cdp = page.context.new_cdp_session(page)
        found = cdp.send("Accessibility.getFullAXTree")["nodes"]
        cdp.detach()
        self.all = {node["nodeId"]: self._node(node) for node in found}
        # Chromium gives them by depth; they are read in their order, from the root.
        root = self.all[found[0]["nodeId"]]
        self.nodes = [node for node in self.below(root) if not node.is_left_out]

    def _node(self, node: dict[str, Any]) -> Node:
        said = {one["name"]: one["value"].get("value") for one in node.get("properties", ())}
        return Node(
            role=str(node.get("role", {}).get("value", "")),
            name=str(node.get("name", {}).get("value", "")).strip(),
            properties=said,
            children=tuple(node.get("childIds", ())),
            is_left_out=bool(node["ignored"]),
        )

    def of(self, *roles: str) -> list[Node]:
        return [node for node in self.nodes if node.role in roles]

    def below(self, node: Node) -> Iterator[Node]:
        for id in node.children:
            child = self.all.get(id)
            if child is not None:
                yield child
                yield from self.below(child)

    @property
    def text(self) -> str:
        return " ".join(node.name for node in self.nodes if node.role in TEXTS)


def faults_of(page: Page) -> list[str]:
    """What a reader of this tree would stumble over; empty is as it has to be."""
    tree = Tree(page)
    return [
        *(f"a {n.role} without a name" for n in tree.of(*CONTROLS, *NAMED) if not n.name),
        *heading_faults([int(n.properties["level"]) for n in tree.of("heading")]),
        *(f"an empty heading of level {n.properties['level']}" for n in tree.of("heading")
          if not n.name),
        *(fault for table in tree.of("table") for fault in table_faults(tree, table)),
        *landmark_faults(tree),
        *live_faults(tree),
        *state_faults(tree, page.evaluate(STATES)),
        *twins(tree),
    ]  # fmt: skip


def lasting_faults_of(page: Page) -> list[str]:
    """Those that are still there once live parts of the page have come to rest."""
    for _ in range(20):
        faults = faults_of(page)
        if not faults:
            break
        page.wait_for_timeout(100)
    return faults


def heading_faults(levels: list[int]) -> list[str]:
    faults = [] if levels.count(1) == 1 else [f"{levels.count(1)} headings of level 1"]
    if levels and levels[0] != 1:
        faults.append(f"the first heading has level {levels[0]}")
    steps = pairwise(levels)
    return faults + [f"a heading skips from {a} to {b}" for a, b in steps if b > a + 1]


def table_faults(tree: Tree, table: Node) -> list[str]:
    rows = [node for node in tree.below(table) if node.role == "row"]
    heads = [node for node in tree.below(table) if node.role == "columnheader"]
    faults = [f"the table {table.name!r} has no headers"] if rows and not heads else []
    return faults + [f"an empty header in {table.name!r}" for head in heads if not head.name]


def landmark_faults(tree: Tree) -> list[str]:
    mains = len(tree.of("main"))
    faults = [] if mains == 1 else [f"{mains} landmarks of the role main"]
    for role in LANDMARKS:
        # A form without a name is none, whatever Chromium calls it.
        names = [node.name for node in tree.of(role) if node.name]
        again = {name for name in names if names.count(name) > 1}
        faults += [f"two landmarks are called {name!r}" for name in again]
    return faults


def live_faults(tree: Tree) -> list[str]:
    """Changes are told politely; only a refusal interrupts."""
    polite = [n for n in tree.of("status") if n.properties.get("live") == "polite"]
    faults = [] if polite else ["no polite live region"]
    for node in tree.nodes:
        if node.properties.get("live") == "assertive" and node.role != "alert":
            faults.append(f"a {node.role} interrupts")
    return faults


def state_faults(tree: Tree, states: list[str]) -> list[str]:
    text = "".join(tree.text.split())
    faults = []
    for state in states:
        lines = [line for line in state.splitlines() if line.strip()]
        if not lines:
            faults.append("a state without a word")
        faults += [f"{line!r} is not in the tree" for line in lines
                   if "".join(line.split()) not in text]  # fmt: skip
    return faults


def twins(tree: Tree) -> list[str]:
    """Buttons of one name that do different things cannot be told apart by ear."""
    names = [node.name for node in tree.of("button") if not node.name.startswith(BROWSERS_OWN)]
    return [f"{names.count(name)} buttons are called {name!r}" for name in sorted(set(names))
            if names.count(name) > 1]  # fmt: skip


Scene = Callable[[World, Page], Iterator[str]]
"""Brings the page from state to state, and names each of them as it stands there."""


def visiting(page: Page, *addresses: str) -> Iterator[str]:
    for address in addresses:
        page.goto(address)
        yield address


def empty(*addresses: str) -> Scene:
    """Pages while there is nothing to show on them."""
    return lambda world, page: visiting(page, *addresses)


def lists(world: World, page: Page) -> Iterator[str]:
    """Home and the views of the inbox, with a row of several tiers, and a decided one."""
    gates = [parked_at(world, tier) for tier in ("confirm", "confirm", "typed", "critical")]
    world.decide(gates[0], world.bob)
    world.settle()
    views = ("mine", "waiting", "expiring", "decided", "closed")
    yield from visiting(page, "/", *(f"/inbox/?view={view}" for view in views))


def looking_on(world: World, page: Page) -> Iterator[str]:
    """What an auditor sees, who decides nothing."""
    gate = parked_at(world, "confirm")
    yield from visiting(page, "/inbox/", f"/gates/{gate.id}/")


def ones_own(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, f"/gates/{parked_at(world, 'confirm').id}/")


def deciding(world: World, page: Page) -> Iterator[str]:
    """Each tier from its gate to its confirmation, the form that came back, and a mere call."""
    plug_in(page)
    season(enrol(world, page))
    gates = {tier: parked_at(world, tier) for tier in BANDS}
    gates["no money"] = registering(world, "passkey")
    for name, gate in gates.items():
        page.goto(f"/gates/{gate.id}/")
        yield f"the gate, {name}"
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("You are about to approve")).to_be_visible()
        yield f"its confirmation, {name}"
    page.goto(f"/gates/{gates['confirm'].id}/")
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("Say why you deny it")).to_be_visible()
    yield "the refused form"


def cooling_off(world: World, page: Page) -> Iterator[str]:
    """A gate that enough have approved, and from which one of them takes it back."""
    world.policy(
        name="Cooling", above_minor=5_000_000, up_to_minor=6_000_000, cooling_off_seconds=600
    )
    gate = world.gates(world.park_at_gates(5_500_000))[0]
    world.decide(gate, world.bob)
    world.settle()
    page.goto(f"/gates/{gate.id}/")
    expect(page.get_by_text("it is cooling off")).to_be_visible()
    yield "while it cools off"
    page.get_by_label("Why you take it back").fill("It was a mistake.")
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_text("You took your approval back.").first).to_be_visible()
    yield "taken back"


def receipts(world: World, page: Page) -> Iterator[str]:
    for verdict in ("approve", "deny", "changes"):
        gate = parked_at(world, "confirm")
        world.decide(gate, world.bob, verdict, reason="It is as it should be.")
        world.settle()
        yield from visiting(page, f"/gates/{gate.id}/", f"/runs/{gate.run_id}/")
    gate = parked_at(world, "confirm")
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_gate SET expires_at = now() WHERE id = %s", [gate.id])
    world.settle()
    yield from visiting(page, f"/gates/{gate.id}/")


def keys(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/keys/")
    plug_in(page)
    enrol(world, page)
    yield "with a key"


def safeguards(*addresses: str) -> Scene:
    """Pages of the safeguards; `{freeze}` and the like stand for what there is."""

    def scene(world: World, page: Page) -> Iterator[str]:
        gate = parked_at(world, "confirm")
        visitors.make_safeguards(world)
        made = {kind: ids[0] for kind, ids in visitors.safeguards_of(world.tenant).items()}
        yield from visiting(page, *(one.format(gate=gate.id, **made) for one in addresses))

    return scene


def policies(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/policies/", "/policies/1/", "/policies/draft/")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_text("No faults.")).to_be_visible()
    yield "a draft that was looked at"


def notices(address: str) -> Scene:
    def scene(world: World, page: Page) -> Iterator[str]:
        yield from visiting(page, address)
        parked_at(world, "confirm")
        told.sweep()
        visitors.make_channel(world)
        yield from visiting(page, address)

    return scene


def looks(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/second-looks/", "/reviewers/")
    gate = parked_at(world, "confirm")
    world.decide(gate, world.bob)
    world.settle()
    look = visitors.make_look(Gate.objects.get(pk=gate.pk))
    yield from visiting(page, "/second-looks/", f"/second-looks/{look.pk}/", "/reviewers/")


def pace(world: World, page: Page) -> Iterator[str]:
    yield from visiting(page, "/pace/")
    world.decide(parked_at(world, "confirm"), world.bob)
    yield from visiting(page, "/pace/")


def batches(world: World, page: Page) -> Iterator[str]:
    """Requests that are reviewed and denied at once, and what became of them."""
    world.park_at_gates(9870, 4200)
    page.goto("/inbox/")
    for tick in page.locator("[data-select]").all():
        tick.check()
    page.get_by_role("button", name="Review selected").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Decide 2 requests at once")
    yield "/batches/, to review"
    page.get_by_role("button", name="Deny 2").click()
    expect(page.get_by_text("Say why you deny them")).to_be_visible()
    yield "/batches/, refused"
    page.get_by_label("Reason").fill("Copies.")
    page.get_by_role("button", name="Deny 2").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("You denied 2 of 2 requests")
    yield "/batches/{id}/"


def vouching(world: World, page: Page) -> Iterator[str]:
    visitors.make_safeguards(world)
    key = visitors.safeguards_of(world.tenant)["key"][0]
    yield from visiting(page, "/keys/", f"/keys/{key}/vouch/")
    page.get_by_role("button", name="Propose it").click()
    expect(page.get_by_text("Say why")).to_be_visible()
    yield "its refused form"


SCENES: dict[str, tuple[str, Scene]] = {
    "what is empty": (
        "bob",
        empty("/", "/inbox/", "/inbox/?q=nobody", "/freezes/", "/breakglass/", "/delegations/"),
    ),
    "what is empty for an admin": ("erin", empty("/changes/", "/groups/", "/freezes/")),
    "lists": ("bob", lists),
    "an auditor": ("dave", looking_on),
    "a requester": ("alice", ones_own),
    "deciding": ("bob", deciding),
    "cooling off": ("bob", cooling_off),
    "receipts": ("bob", receipts),
    "keys": ("bob", keys),
    "safeguards": (
        "bob",
        safeguards(
            "/freezes/",
            "/freezes/new/",
            "/freezes/new/?gate={gate}",
            "/breakglass/",
            "/breakglass/open/",
            "/breakglass/{glass}/confirm/",
            "/delegations/",
            "/delegations/new/",
            "/delegations/{delegation}/revoke/",
        ),
    ),
    "safeguards of an admin": (
        "erin",
        safeguards(
            "/changes/", "/changes/{change}/", "/groups/", "/groups/propose/",
            "/freezes/{freeze}/thaw/",
        ),
    ),
    "policies": ("erin", policies),
    "notices": ("bob", notices("/notices/")),
    "channels": ("erin", notices("/settings/notices/")),
    "second looks": ("dave", looks),
    "pace": ("bob", pace),
    "batches": ("bob", batches),
    "vouching": ("erin", vouching),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_a_screen_reader_is_told_everything(world: World, named: Console, name: str) -> None:
    person, scene = SCENES[name]
    page = named.open(person)
    found = {state: lasting_faults_of(page) for state in scene(world, page)}
    named.faults.clear()  # Chromium reports the 422 of a refused form.
    assert {state: faults for state, faults in found.items() if faults} == {}


def _nothing_new(route: Route) -> None:
    if route.request.headers.get("hx-request"):
        route.fulfill(status=204)
    else:
        route.continue_()


def test_the_tree_shows_what_is_wrong_with_a_page(world: World, named: Console) -> None:
    """Each thing that is asserted, broken on a page that is as it should be."""
    parked_at(world, "confirm")
    page = named.open("bob")
    # What is broken must stay so: no part of the page is renewed, for there is nothing new.
    page.route("**/*", _nothing_new)
    for break_it, fault in (
        ("e => e.append(document.createElement('button'))", "a button without a name"),
        ("e => e.insertAdjacentHTML('beforeend', '<h1>Two</h1>')", "2 headings of level 1"),
        ("e => e.insertAdjacentHTML('beforeend', '<h4>Deep</h4>')", "a heading skips from 2 to 4"),
        ("e => e.querySelector('thead').remove()", "the table 'For you to decide' has no headers"),
        ("e => e.querySelector('caption').remove()", "a table without a name"),
        ("() => document.querySelector('#announcements').remove()", "no polite live region"),
        (
            "e => e.insertAdjacentHTML('beforeend', '<nav aria-label=Main>x</nav>')",
            "two landmarks are called 'Main'",
        ),
        (
            "e => e.insertAdjacentHTML('beforeend', '<b class=state aria-hidden=true>Gone</b>')",
            "'Gone' is not in the tree",
        ),
        (
            "e => e.insertAdjacentHTML('beforeend', '<b class=state><svg></svg></b>')",
            "a state without a word",
        ),
        (
            "e => e.insertAdjacentHTML('beforeend', '<p aria-live=assertive>x</p>')",
            "a paragraph interrupts",
        ),
        (
            "e => e.insertAdjacentHTML('beforeend', '<button>Filter</button>')",
            "2 buttons are called 'Filter'",
        ),
    ):
        page.goto("/inbox/")
        assert faults_of(page) == []
        page.locator("main").evaluate(break_it)
        assert fault in faults_of(page), break_it

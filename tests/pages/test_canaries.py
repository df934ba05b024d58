"""Canaries on pages: like any other request before they are decided, and plain words after."""

from __future__ import annotations

import re
from itertools import zip_longest

import pytest
from django.http import HttpResponse

from approvals.models import Canary, Gate
from runs import canonical, dispatch
from tests.approvals import former, planted
from tests.harness import World
from tests.pages import test_batches
from tests.pages.visitors import Page, Visitor, make_person, visit_as

VARIES = (
    (r"<time.*?</time>", "T"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b[0-9a-f]{32}\b", "NONCE"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|\+00:00)", "AT"),
    (r'(?<=class="phrase">)[a-z ]+', "PHRASE"),
    (r'(?<=name="csrfmiddlewaretoken" value=")\w+', "TOKEN"),
    (r"(?<= )[0-9a-f]{8}(?=</a>)", "SHORT"),
    (r"(?<=transferring )[0-9a-f]{8}\b", "SHORT"),
)


def plain(answer: HttpResponse) -> str:
    """A page without what is different on the pages of any two requests."""
    text = answer.content.decode()
    for pattern, word in VARIES:
        text = re.sub(pattern, word, text, flags=re.DOTALL)
    return text


def row_of(answer: HttpResponse, gate: Gate) -> str:
    found = re.search(rf'<tr id="gate-{gate.id}".*?</tr>', answer.content.decode(), re.DOTALL)
    assert found
    answer.content = found[0].encode()
    return plain(answer)


def alike(world: World, gate: Gate) -> Gate:
    """A real request that asks for the very same."""
    (real,) = former.ask(world, canonical.decode(gate.step.arguments))
    assert not Canary.objects.filter(step=real.step_id).exists()
    return real


def over(world: World, gate: Gate) -> None:
    """Ends it, so that as many requests wait for everybody as before."""
    world.decide(gate, world.carol, "deny")
    world.settle()


def decide(visitor: Visitor, gate: Gate, verdict: str) -> Page:
    """Decides as the page does, and follows to the page that comes next."""
    answer = visitor.post(
        f"/gates/{gate.id}/decide/",
        verdict=verdict,
        step="confirmed",
        digest=bytes(gate.digest).hex(),
        reason="" if verdict == "approve" else "It is odd.",
    )
    assert answer.status_code == 302, Page(answer).text
    return Page(visitor.get(answer.headers["Location"]))


@pytest.mark.parametrize("flaw", ["amount", "account"])
@pytest.mark.parametrize("path", ["/gates/{}/", "/gates/{}/?part=standing"])
def test_nobody_tells_an_open_canary_from_a_real_request_by_its_page(
    world: World, flaw: str, path: str
) -> None:
    gate = planted.planted_with(world, flaw)
    visitors = [visit_as(one) for one in (world.bob, world.dave, world.erin)]
    part = "part" in path
    shown = [plain(one.get(path.format(gate.id), part=part)) for one in visitors]
    over(world, gate)
    real = alike(world, gate)
    others = [plain(one.get(path.format(real.id), part=part)) for one in visitors]
    for own, other in zip(shown, others, strict=True):
        pairs = zip_longest(own.splitlines(), other.splitlines())
        assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert "canar" not in shown[0].lower()


@pytest.mark.parametrize("view", ["mine", "expiring"])
def test_nobody_tells_it_by_its_row_in_the_inbox_or_by_its_confirmation(
    world: World, view: str
) -> None:
    gate = planted.planted_with(world, "amount")
    real = alike(world, gate)
    bob = visit_as(world.bob)
    rows = [row_of(bob.get("/inbox/", view=view), one) for one in (gate, real)]
    assert rows[0] == rows[1]
    given = {"verdict": "approve", "reason": ""}
    pages = [
        plain(bob.post(f"/gates/{g.id}/decide/", digest=bytes(g.digest).hex(), **given))
        for g in (gate, real)
    ]
    assert "canar" not in pages[0].lower() and "Approve" in pages[0]


def test_nobody_tells_it_by_the_hints_to_open_pages(world: World) -> None:
    planted.model(world)
    shown: list[tuple[str, ...]] = []
    dispatch.plug_live(lambda _tenant, *rest: shown.append(tuple(type(x).__name__ for x in rest)))
    try:
        gate = planted.plant(world)
        assert gate is not None
        of_canary, shown[:] = set(shown), []
        alike(world, gate)
    finally:
        dispatch.plug_live(None)
    assert of_canary == set(shown) == {("str", "UUID", "int")}


@pytest.mark.parametrize(
    ("verdict", "said", "counted"),
    [
        ("deny", "This was a canary, a test, and you caught it.", "It counts as caught"),
        ("changes", "This was a canary, a test, and you caught it.", "It counts as caught"),
        ("approve", "and you missed it. Nothing was paid.", "It counts as missed"),
    ],
)
def test_who_decides_is_told_at_once_before_and_after_it_closes(
    world: World, verdict: str, said: str, counted: str
) -> None:
    gate = planted.planted_with(world, "amount")
    bob = visit_as(world.bob)
    page = decide(bob, gate, verdict)
    assert said in page.text
    for later in (page, None):
        page = later or Page(bob.get(f"/gates/{gate.id}/"))
        assert "This was a canary: a test that can never be paid." in page.text
        assert "ten times the 98.70 EUR that were paid before" in page.text
        assert counted in page.text
        assert "Take your approval back" not in page.text
        assert "being cleared" not in page.text
        world.settle()
    closed = Page(bob.get(f"/gates/{gate.id}/"))
    assert "Canary, a test" in closed.text and counted in closed.text


def test_another_reviewer_learns_of_it_when_it_is_closed(world: World) -> None:
    gate = planted.planted_with(world, "account")
    decide(visit_as(world.bob), gate, "deny")
    carol = visit_as(world.carol)
    assert "canar" not in carol.get(f"/gates/{gate.id}/").content.decode().lower()
    world.settle()
    page = Page(carol.get(f"/gates/{gate.id}/"))
    flaw = f"It named the account {gate.payee} for ACME, where {former.ACCOUNT} was paid before."
    assert flaw in page.text
    assert "It is over, and nothing was paid." in page.text
    assert "You missed" not in page.text


def test_lists_of_what_is_over_say_that_it_was_a_canary(world: World) -> None:
    gate = planted.planted_with(world, "amount")
    bob = visit_as(world.bob)
    decide(bob, gate, "approve")
    dave = visit_as(world.dave)
    assert "Canary" not in Page(dave.get("/audit/")).text, "it is still open"
    world.settle()
    for view in ("decided", "closed"):
        assert "Canary, a test" in row_of(bob.get("/inbox/", view=view), gate)
    assert "Canary, a test Approved €987.00 to ACME" in Page(dave.get("/audit/")).text
    run = Page(dave.get(f"/runs/{gate.run_id}/"))
    assert "This was a canary, a test of those who decide" in run.text


def test_figures_of_reviewers_have_a_column_of_canaries(world: World) -> None:
    gate = planted.planted_with(world, "amount")
    bob = visit_as(world.bob)
    assert "Canaries caught" in Page(bob.get("/reviewers/")).text
    decide(bob, gate, "deny")
    assert "1 of 1 (100 %)" in Page(bob.get("/reviewers/")).texts("td")
    assert "1 of 1 (100 %)" in Page(visit_as(world.dave).get("/reviewers/")).texts("td")


def test_the_policy_discloses_canaries_and_says_when_none_can_be_planted(world: World) -> None:
    bob = visit_as(world.bob)
    assert "Canaries" not in Page(bob.get("/policies/")).text
    former.prepare()
    planted.wanted(world, 3)
    page = Page(bob.get("/policies/"))
    assert "There are up to 3 canaries within any seven days" in page.text
    assert "None is planted yet." in page.text
    version = Page(bob.get("/policies/2/"))
    assert "How often canaries are planted has changed." in version.text
    former.made(world)
    assert "None is planted yet." not in Page(bob.get("/policies/")).text


def test_a_draft_with_canaries_is_checked_and_compared(world: World) -> None:
    admin = visit_as(make_person("edna", "admin", tenant=world.tenant))
    text = "rules:\n  - name: Any\n    then: {block: No.}\ncanaries: {per_week: %s}\n"
    page = Page(admin.post("/policies/draft/", text=text % 2, verb="check", base="1"))
    assert "up to 2 canaries within any seven days" in page.text
    page = Page(admin.post("/policies/draft/", text=text % 99, verb="check", base="1"))
    assert "This must be from 0 to 20." in page.text


def test_a_canary_among_others_that_are_decided_at_once_is_told_at_once(world: World) -> None:
    canary = planted.planted_with(world, "amount")
    (real,) = former.ask(world)
    bob = visit_as(world.bob)
    answer = test_batches.confirm(bob, test_batches.review(bob, canary, real))
    page = Page(bob.get(answer.headers["Location"]))
    assert page.text.count("This was a canary: a test that can never be paid.") == 1
    assert "ten times the 98.70 EUR" in page.text and "so you missed it" in page.text
    world.settle()
    later = Page(bob.get(answer.headers["Location"])).text
    assert "Canary, a test" in later and "Withdrawn" not in later

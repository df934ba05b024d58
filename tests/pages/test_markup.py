"""What holds for the markup of every page: no inline code, sound structure, nothing unescaped."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone
from django.views.defaults import server_error

from approvals.models import Gate
from console.pages import words
from runs.models import Run, StepClaim
from tests.harness import World, as_role
from tests.pages import visitors
from tests.pages.test_rights import EVERYBODY, TABLE, address
from tests.pages.visitors import Page, Visitor

PAGES = sorted(
    name for name, method in TABLE if method == "GET" and name not in ("healthz", "readyz")
)
EVENT = re.compile(r'"((?:run|step|gate|decision|settlement)\.[a-z_]+)"')
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\" onload=\"alert(1)"


@pytest.fixture
def anyone(world: World) -> Visitor:
    person = visitors.make_person("everything", *EVERYBODY, tenant=world.tenant)
    return visitors.visit_as(person)


@pytest.fixture
def gate(world: World, gate: Gate) -> Gate:
    """The gate, and beside it a question, a schedule and safeguards."""
    visitors.make_question(world)
    visitors.make_schedule(world)
    visitors.make_safeguards(world)
    visitors.make_look(gate)
    visitors.make_batch(world, gate)
    return gate


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_sound(anyone: Visitor, gate: Gate, name: str) -> None:
    check(anyone.get(address(name, gate)))


@pytest.mark.parametrize("path", ["/accounts/login/", "/nowhere/"])
def test_pages_for_nobody_are_sound(world: World, path: str) -> None:
    check(visitors.nobody().get(path))


def test_pages_with_forms_of_every_kind_are_sound(anyone: Visitor, gate: Gate) -> None:
    check(anyone.get("/runs/start/", workflow="paying"))
    check(anyone.get("/accounts/logout/"))
    for verb in ("cancel", "pause", "resume", "terminate"):
        check(anyone.post(f"/runs/{gate.run_id}/{verb}/"))
    check(anyone.get("/schedules/new/", workflow="adding"))
    check(anyone.get("/runs/bulk/", workflow="paying"))
    check(anyone.post("/secrets/write/", path="", value_0="v"))


def test_a_form_without_its_proof_is_refused_with_a_page(world: World) -> None:
    client = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)

    with as_role("placet_web"):
        answer = client.post("/theme/", {"theme": "dark"})

    assert answer.status_code == 403
    check(answer)
    assert "so nothing was changed" in Page(answer).text


def test_a_fault_of_the_console_has_a_page_that_needs_nothing() -> None:
    answer = server_error(RequestFactory().get("/"))

    page = Page(answer)
    assert answer.status_code == 500
    assert "what was decided stays decided" in page.text
    no_inline_code(page)


def check(response: Any) -> None:
    page = Page(response)
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    no_inline_code(page)
    one_heading_and_landmarks(page)
    ids_are_unique(page)
    fields_are_labelled(page)


def no_inline_code(page: Page) -> None:
    for element in page.elements:
        assert element.name != "style"
        assert element.name != "script" or element.attributes.get("src", "").startswith("/static/")
        for name, value in element.attributes.items():
            assert name != "style", element
            assert not name.startswith(("on", "hx-on")), element
            assert not value.lower().startswith("javascript:"), element


def one_heading_and_landmarks(page: Page) -> None:
    is_patterns = any(h == "Patterns" for h in page.texts("h1"))
    assert len(page.all("h1")) == (2 if is_patterns else 1)
    assert len(page.all("main")) == 1
    assert page.all("title")[0].text.endswith("Placet")


def ids_are_unique(page: Page) -> None:
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    assert sorted(ids) == sorted(set(ids))


def fields_are_labelled(page: Page) -> None:
    labelled = {label.attributes.get("for") for label in page.all("label")}
    for element in page.elements:
        is_field = element.name in ("input", "select", "textarea")
        if is_field and element.attributes.get("type") not in ("hidden", "submit"):
            assert element.attributes.get("id") in labelled, element


def test_what_workflows_write_is_text(world: World, bob: Visitor) -> None:
    run = world.start("echoing", value=HOSTILE)
    world.settle()

    answer = bob.get(f"/runs/{run.id}/")

    check(answer)
    assert HOSTILE in Page(answer).text


def test_what_people_write_is_text(world: World, bob: Visitor, gate: Gate) -> None:
    world.decide(gate, world.carol, "deny", HOSTILE)
    world.settle()

    for path in (f"/gates/{gate.id}/", f"/runs/{gate.run_id}/", "/inbox/", "/"):
        check(bob.get(path))
    assert HOSTILE in Page(bob.get(f"/gates/{gate.id}/")).text


def test_a_payee_is_text(world: World, bob: Visitor) -> None:
    payee = "<b onclick=alert(1)>ACME</b>"
    run = world.start("paying_to", payee=payee, amount_minor=100, currency="EUR")
    world.policy(name="More", above_minor=1_000_000, up_to_minor=2_000_000)
    world.settle()
    gate = world.gates(run)[0]

    for path in (f"/gates/{gate.id}/", f"/runs/{run.id}/", "/inbox/", "/"):
        answer = bob.get(path)
        check(answer)
        assert payee in Page(answer).text


def test_characters_that_hide_or_turn_are_shown_as_what_they_are(
    world: World, bob: Visitor
) -> None:
    run = world.start("echoing", value="100\u202e00\u200b")
    world.settle()

    text = Page(bob.get(f"/runs/{run.id}/")).text

    assert "100U+202E00U+200B" in text
    assert "\u202e" not in text


@pytest.mark.parametrize("kind", words.STATES)
def test_every_state_of_the_rows_has_words(kind: str) -> None:
    from approvals.models import Change, ChangeVoice, Decision, Gate, Notice, SecondLook
    from approvals.rules import replay
    from approvals.rules.outcomes import KINDS
    from runs.models import Run, Settlement, Step, Tick

    derived = {
        "channel": {"active", "paused"},
        "policy": {"in_force", "retired"},
        "rule": set(KINDS),
        "replayed": set(replay.Change),
        "schedule": {"active", "paused", "over"},
        "key": {"standing", "fresh", "waiting", "revoked"},
        "voice": {*ChangeVoice.Verdict.values, "propose"},
        "freeze": {"frozen", "thawed"},
        "glass": {
            *("waiting", "verifying", "refused", "open"),
            *("unreviewed", "overdue", "reviewed", "lapsed"),
        },
        "look": {*SecondLook.Why.values, *SecondLook.Verdict.values},
        "delegation": {"coming", "active", "over", "revoked"},
    }
    rows = {
        "run": Run.Status,
        "step": Step.Status,
        "gate": Gate.Status,
        "change": Change.Status,
        "decision": Decision.Verdict,
        "settlement": Settlement.Answer,
        "tick": Tick.Outcome,
        "notice": Notice.Kind,
        "delivery": Step.Status,
    }
    if kind in derived:
        assert set(words.STATES[kind]) == derived[kind]
    elif kind == "payment":
        made = {"paid", "cleared", "unpaid", "done", "undone", "in_doubt", "given_up", "canary"}
        assert set(words.STATES[kind]) == {*Gate.Status.values, *made}
    else:
        assert set(words.STATES[kind]) == set(rows[kind].values)


def test_every_event_that_the_engine_writes_has_words() -> None:
    written: set[str] = set()
    for room in ("runs", "approvals"):
        for source in Path(room).rglob("*.py"):
            written |= set(EVENT.findall(source.read_text()))
    assert written
    assert written - {"gate.step", "run.step"} <= set(words.EVENTS)


@pytest.mark.parametrize("path", ["/inbox/", "/", "/runs/", "{gate}?part=people", "{run}?part=now"])
def test_a_part_of_a_page_is_only_that_part(bob: Visitor, gate: Gate, path: str) -> None:
    path = path.format(gate=f"/gates/{gate.id}/", run=f"/runs/{gate.run_id}/")

    html = bob.get(path, part=True).content.decode()

    assert html.strip()
    assert "<html" not in html


def test_a_run_that_stands_still_is_not_sent_again(bob: Visitor, gate: Gate) -> None:
    path = f"/runs/{gate.run_id}/?part=now"
    mark = data_mark(bob.get(path, part=True))

    assert bob.get(f"{path}&after={mark}", part=True).status_code == 204
    assert bob.get(f"{path}&after=1", part=True).status_code == 200


@pytest.mark.parametrize("table", ["runs_claim", "runs_run", "runs_step"])
def test_a_run_that_moves_on_while_its_page_is_read_is_never_taken_for_what_is_shown(
    world: World, bob: Visitor, table: str
) -> None:
    run = world.park_at_gates(9870)
    world.approve_all(run)
    path = f"/runs/{run.id}/?part=now"
    moved_on = threading.Thread(target=world.settle)

    def move_on_after(execute: Any, sql: str, *rest: Any) -> Any:
        answer = execute(sql, *rest)
        if f'FROM "{table}"' in sql and not moved_on.ident:
            moved_on.start()
            moved_on.join()
        return answer

    with connection.execute_wrapper(move_on_after):
        torn = bob.get(path, part=True)
    assert moved_on.ident and Run.objects.get(id=run.id).status == "succeeded"

    later = bob.get(f"{path}&after={data_mark(torn)}", part=True)
    shown = later if later.status_code == 200 else torn
    assert "It ended well." in shown.content.decode()


def test_the_progress_of_a_step_makes_no_event_and_is_sent_all_the_same(
    world: World, bob: Visitor
) -> None:
    run = world.start("registering", names=["Ada"])
    world.settle()
    path = f"/runs/{run.id}/?part=now"
    mark = data_mark(bob.get(path, part=True))
    assert bob.get(f"{path}&after={mark}", part=True).status_code == 204
    with as_role("placet_executor"):
        StepClaim.objects.update(beat_at=timezone.now(), progress_done=3, progress_total=9)
    later = bob.get(f"{path}&after={mark}", part=True)
    assert later.status_code == 200
    check_part = Page(later)
    assert data_mark(later) != mark
    assert [e.attributes["value"] for e in check_part.all("progress")] == ["3"]


def data_mark(response: Any) -> str:
    marked = (e for e in Page(response).elements if "data-mark" in e.attributes)
    return next(marked).attributes["data-mark"]

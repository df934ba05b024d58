"""The list of runs, the start form, a run's page, cancelling."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from approvals.models import Gate
from console.models import AuditEntry
from runs.models import Run
from tests.harness import World
from tests.pages.visitors import Page, Visitor


def start(alice: Visitor, workflow: str, **form: Any) -> Any:
    given = {"form_id": str(uuid4())} | {name.replace("__", "."): v for name, v in form.items()}
    return alice.post(f"/runs/start/?workflow={workflow}", **given)


def test_a_run_is_started_from_fields_made_from_the_workflow(world: World, alice: Visitor) -> None:
    fields = Page(alice.get("/runs/start/", workflow="paying"))
    assert fields.field("input.amounts").name == "textarea"
    assert fields.field("input.currency").attributes["value"] == "EUR"

    answer = start(alice, "paying", input__amounts="[100]", input__currency="EUR")

    run = Run.objects.get()
    assert answer.headers["Location"] == f"/runs/{run.id}/"
    assert run.requested_by == world.alice
    assert AuditEntry.objects.get(action="run_started").actor == "alice"


def test_the_same_form_sent_twice_starts_one_run(world: World, alice: Visitor) -> None:
    form = {"form_id": str(uuid4()), "input__amounts": "[100]"}

    first = start(alice, "paying", **form)
    again = start(alice, "paying", **form)

    assert first.headers["Location"] == again.headers["Location"]
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("[1, 2", "This is not JSON"),
        ("[1, 2.5]", "2.5 is not of type"),
        ("", "This field is required."),
        ('{"a": 1, "a": 2}', "the name 'a' twice"),
    ],
)
def test_what_was_typed_wrongly_is_kept_and_said_at_its_field(
    world: World, alice: Visitor, typed: str, said: str
) -> None:
    answer = start(alice, "paying", input__amounts=typed, input__currency="SEK")

    page = Page(answer)
    assert answer.status_code == 422
    assert said in page.text
    assert page.field("input.amounts").text.strip() == typed
    assert page.field("input.amounts").attributes["aria-invalid"] == "true"
    assert page.field("input.currency").attributes["value"] == "SEK"
    assert not Run.objects.exists()


def test_the_list_is_filtered_and_read_page_by_page(world: World, alice: Visitor) -> None:
    world.start("adding", numbers=[1])
    world.settle()
    runs = [world.start("paying", amounts=[100]) for _ in range(2)]

    def shown(**query: str) -> list[str]:
        rows = Page(alice.get("/runs/", **query)).all("tr")
        return [r.attributes["id"].removeprefix("run-") for r in rows if "id" in r.attributes]

    assert shown(workflow="paying") == [str(run.id) for run in reversed(runs)]
    assert len(shown(status="succeeded")) == 1
    assert len(shown(q="alice")) == 3
    assert shown(q="bob") == []
    assert alice.get("/runs/", q=str(runs[0].id)).headers["Location"] == f"/runs/{runs[0].id}/"


def test_a_cursor_that_no_list_gave_leads_to_the_first_page(world: World, alice: Visitor) -> None:
    answer = alice.get("/runs/", cursor="nonsense")

    assert answer.headers["Location"] == "/runs/"
    assert "This is the first page." in Page(alice.get("/runs/")).text


def test_the_page_of_a_run_says_what_it_waits_for_and_who_decided(
    world: World, alice: Visitor, gate: Gate
) -> None:
    path = f"/runs/{gate.run_id}/"
    assert "It waits for a payment to be decided and made" in Page(alice.get(path)).text

    world.decide(gate, world.bob, "deny", "Not this one.")
    world.settle()

    text = Page(alice.get(path)).text
    assert "It ended, but not every step went well: 1 denied." in text
    assert "Not this one." in text
    assert "by bob" in text
    assert "Decision made" in text


def test_the_journal_goes_back_page_by_page(world: World, alice: Visitor) -> None:
    run = world.start("adding", numbers=list(range(60)))
    world.settle()

    newest = Page(alice.get(f"/runs/{run.id}/"))
    older = next(a for a in newest.all("a") if a.text == "Older events").attributes["href"]
    oldest = Page(alice.get(f"/runs/{run.id}/{older.split('#')[0]}"))

    assert "Run succeeded" in newest.text
    assert "Run started" not in newest.text
    assert "Run started" in oldest.text


def test_cancelling_asks_first(world: World, alice: Visitor, gate: Gate) -> None:
    path = f"/runs/{gate.run_id}/cancel/"

    asked = alice.post(path)
    assert "Cancel this run?" in Page(asked).text
    assert Run.objects.get().cancel_requested_at is None

    alice.post(path, confirmed="yes")
    world.settle()
    assert Run.objects.get().status == "cancelled"
    assert AuditEntry.objects.get(action="cancel_requested").actor == "alice"


def test_a_run_that_has_ended_is_not_cancelled(world: World, alice: Visitor) -> None:
    run = world.start("adding", numbers=[1])
    world.settle()

    alice.post(f"/runs/{run.id}/cancel/", confirmed="yes")

    page = Page(alice.get(f"/runs/{run.id}/"))
    assert "ended" in page.text
    assert "Cancel the run" not in page.texts("button")


def test_the_page_of_a_run_says_why_a_step_is_held_that_no_rule_covers(
    world: World, alice: Visitor
) -> None:
    run = world.start("paying", amounts=[100], currency="SEK")
    world.settle()
    page = Page(alice.get(f"/runs/{run.id}/"))
    said = "No rule of the policy covers pay of 1.00 SEK, so nobody may clear it."
    assert f"Consent to pay (step 2). {said}" in page.texts("li")
    assert said in page.texts("dd")


def test_home_says_what_is_stuck(world: World, alice: Visitor) -> None:
    world.start("refusing")
    world.start("paying", amounts=[100], currency="SEK")
    world.settle()

    text = Page(alice.get("/")).text

    assert "refusing failed" in text
    assert "the world said no" in text

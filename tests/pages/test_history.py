"""What a gate's page says of the payments before it, and in which place."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.models import Gate
from tests.approvals import former
from tests.approvals.former import OTHER_ACCOUNT, ask, made, payment
from tests.harness import World
from tests.pages import visitors
from tests.pages.test_markup import check
from tests.pages.visitors import Page, Visitor

RTL_NAME = "\u05d0\u05d1 <b>GmbH</b>"


@pytest.fixture(scope="module", autouse=True)
def _declared(_prepared: None) -> None:
    former.prepare()


@pytest.fixture(autouse=True)
def _rules(world: World) -> None:
    former.publish(world)


def page_of(visitor: Visitor, gate: Gate) -> Page:
    return Page(visitor.get(f"/gates/{gate.id}/"))


def links(page: Page) -> list[str]:
    return [a.attributes.get("href", "") for a in page.all("a")]


def test_what_is_unusual_stands_between_the_rule_and_the_arguments(
    world: World, bob: Visitor
) -> None:
    (gate,) = ask(world)

    page = page_of(bob, gate)

    titles = page.texts("h2")
    assert titles[:4] == [
        "Why people are asked",
        "What is unusual",
        "What differs from last time",
        "Everything that will be sent",
    ]
    assert "This is the first payment to this account." in page.text
    assert (
        "No payment to this account was made by transfer before: "
        "there is nothing to compare it with." in page.text
    )


def test_each_fact_leads_to_the_request_that_it_is_about(world: World, bob: Visitor) -> None:
    last = made(world, 2350, days_ago=40, iban=OTHER_ACCOUNT)
    (gate,) = ask(world, payment(creditor="ACME"))

    page = page_of(bob, gate)

    assert (
        "The account of ACME has changed: the last payment to that name went to "
        f"{OTHER_ACCOUNT} on " in page.text
    )
    assert f"/gates/{last.id}/" in links(page)


def test_what_differs_stands_side_by_side_with_the_last_payment(world: World, bob: Visitor) -> None:
    last = made(world, 900, days_ago=40, note="rent 10/2026")
    (gate,) = ask(world, payment(1000, note="rent 11/2026"))

    page = page_of(bob, gate)

    assert page.texts("td") == ["900 = €9.00", "1000 = €10.00", "rent 10/2026", "rent 11/2026"]
    assert "3 other arguments are the same." in page.text
    assert f"/gates/{last.id}/" in links(page)


def test_where_nothing_is_unusual_the_page_says_so(world: World, bob: Visitor) -> None:
    made(world, 1000, days_ago=40)
    (gate,) = ask(world)

    text = page_of(bob, gate).text

    assert "Nothing is unusual: 1 payment to this account before, the last on " in text
    assert "All 5 arguments are the same." in text


def test_whoever_may_see_the_gate_reads_the_same(world: World) -> None:
    made(world, 1000, days_ago=1)
    (gate,) = ask(world)

    for person in (world.alice, world.bob, world.dave, world.erin, world.mallory):
        text = page_of(visitors.visit_as(person), gate).text
        assert "The same amount to the same account was paid on " in text


def test_a_form_that_was_refused_keeps_the_facts(world: World, bob: Visitor) -> None:
    (gate,) = ask(world)
    digest = bytes(gate.digest).hex()

    refused = bob.post(f"/gates/{gate.id}/decide/", verdict="deny", digest=digest, reason="")

    assert refused.status_code == 422
    assert "This is the first payment to this account." in Page(refused).text


def test_a_closed_request_keeps_the_facts_of_its_time(world: World, bob: Visitor) -> None:
    (gate,) = ask(world)
    world.decide(gate, world.bob)
    world.settle()
    made(world, 1000, days_ago=0)

    text = page_of(bob, gate).text

    assert "This is the first payment to this account." in text
    assert "As it stood when the request was closed" in text
    assert "was paid on" not in text


def test_names_of_strangers_are_text_and_do_not_turn_the_sentence(
    world: World, bob: Visitor
) -> None:
    made(world, days_ago=40, iban=OTHER_ACCOUNT, creditor=RTL_NAME)
    (gate,) = ask(world, payment(creditor=RTL_NAME, note="<script>alert(1)</script>"))

    answer = bob.get(f"/gates/{gate.id}/")

    check(answer)
    assert f"The account of {RTL_NAME} has changed" in Page(answer).text
    assert RTL_NAME in [e.text for e in Page(answer).all("bdi")]


def test_the_history_costs_two_statements_however_long_it_is(world: World, bob: Visitor) -> None:
    (gate,) = ask(world)
    few = statements(bob, gate)
    for _ in range(3):
        made(world, 1000, days_ago=1)
    many = statements(bob, gate)

    # Without a payment before there is no former envelope to read.
    assert len(many) == len(few) + 1
    assert sum('"approvals_gate"."envelope"' in sql for sql in many) == 2


def statements(visitor: Visitor, gate: Gate) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        visitor.get(f"/gates/{gate.id}/")
    return [query["sql"] for query in captured.captured_queries]

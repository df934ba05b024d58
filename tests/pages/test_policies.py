"""The policy on its pages: the rules in force in words, its versions, drafts, and who agrees."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from approvals import policies
from approvals.models import Change, Policy
from approvals.rules.document import digest, from_text, to_yaml
from tests.approvals.proposals import an_admin, keep
from tests.harness import World, as_role
from tests.pages import visitors
from tests.pages.test_markup import check
from tests.pages.visitors import Page, Visitor

NAME = "Payments up to 10,000 euro"
STRICTER = """\
rules:
  - name: Nobody is paid twice as much
    when: {tool: pay, amount: {currency: EUR, above_minor: 5000}}
    then: {block: Too much.}
  - name: Payments up to 10,000 euro
    when: {tool: pay, amount: {currency: EUR, up_to_minor: 1000000}}
    then:
      consent: {group: payments, expires_after_seconds: 3600}
freezes:
  - {scope: payee, denials: 3, within_seconds: 3600}
"""
FAULTY = """\
rules:
  - name: Broken
    when: {tool: pay, amount: {currency: XXQ}}
    then: {consent: {group: payments, tier: none}}
    colour: red
"""


@pytest.fixture
def erin(world: World) -> Visitor:
    return visitors.visit_as(world.erin)


def send(visitor: Visitor, verb: str, text: str, **more: Any) -> Any:
    given = {"verb": verb, "text": text, "base": "1", "reason": "The auditors ask for it."}
    return visitor.post("/policies/draft/", **given | more)


def text_of(answer: Any) -> str:
    return Page(answer).text


def test_the_rules_in_force_are_told_in_words(bob: Visitor) -> None:
    answer = bob.get("/policies/")
    check(answer)
    text = text_of(answer)
    assert NAME in text
    assert "the amount is up to 10,000.00 EUR" in text and "the tool is pay" in text
    assert "1 of the group payments must consent" in text
    assert bytes(Policy.objects.get().digest).hex() in text
    assert "Draft a new version" not in text


def test_without_a_policy_it_says_that_everything_is_held(world: World) -> None:
    for roles, said in ((("admin",), "Write the first version"), (("auditor",), "An admin drafts")):
        person = visitors.make_person(f"new-{roles[0]}", *roles, tenant="new")
        answer = visitors.visit_as(person).get("/policies/")
        check(answer)
        assert "No policy is in force" in text_of(answer) and said in text_of(answer)


def test_a_version_shows_its_text_and_what_it_does_otherwise(world: World, bob: Visitor) -> None:
    with as_role("placet_owner"):
        policies.publish(tenant=world.tenant, document=from_text(STRICTER))
    answer = bob.get("/policies/2/")
    check(answer)
    text = text_of(answer)
    assert "What it does otherwise than version 1" in text
    assert "The rule 'Nobody is paid twice as much' is new, as no. 1." in text
    assert "3 denials within 1 hour freeze the payee" in text
    shown = next(e.text for e in Page(answer).all("pre"))
    assert digest(from_text(shown)) == bytes(Policy.objects.get(number=2).digest)
    assert "The first version: all of it is new" in text_of(bob.get("/policies/1/"))
    assert "Retired" in text_of(bob.get("/policies/1/"))
    assert bob.get("/policies/3/").status_code == 404


def test_a_version_of_another_tenant_is_not_there(world: World) -> None:
    stranger = visitors.make_person("olivia", "admin", tenant="elsewhere")
    visitor = visitors.visit_as(stranger)
    assert visitor.get("/policies/1/").status_code == 404
    assert visitor.get("/policies/draft/", **{"from": "1"}).status_code == 404
    assert NAME not in text_of(visitor.get("/policies/"))


def test_a_draft_begins_with_the_version_in_force_or_one_that_is_asked_for(
    world: World, erin: Visitor
) -> None:
    one = Policy.objects.get()
    page = Page(erin.get("/policies/draft/"))
    assert digest(from_text(page.field("text").text)) == bytes(one.digest)
    assert (
        page.field("text").text.split()
        == f"""
        rules:
        - name: {NAME}
          when:
            tool: pay
            amount:
              currency: EUR
              up_to_minor: 1000000
          then:
            consent:
              group: payments
              count: 1
              expires_after_seconds: 3600
    """.split()
    )
    with as_role("placet_owner"):
        policies.publish(tenant=world.tenant, document=from_text(STRICTER))
    page = Page(erin.get("/policies/draft/", **{"from": "1"}))
    assert digest(from_text(page.field("text").text)) == bytes(one.digest)
    assert page.field("base").attributes["value"] == "2"


def test_every_fault_is_named_with_its_place_and_nothing_is_lost(erin: Visitor) -> None:
    answer = send(erin, "check", FAULTY)
    check(answer)
    page = Page(answer)
    assert answer.status_code == 422
    assert "faults; your text is kept below" in page.text
    assert "Rule 1 /rules/0/when/amount" in page.text and "XXQ" in page.text
    assert "/rules/0/then/consent/tier This must be one of confirm, passkey" in page.text
    assert "/rules/0/colour This is not known here" in page.text
    assert page.field("text").text.strip() == FAULTY.strip()
    assert page.field("reason").text.strip() == "The auditors ask for it."
    assert not Change.objects.exists()


def test_what_is_no_yaml_is_told_with_its_line(erin: Visitor) -> None:
    page = Page(send(erin, "check", "rules: [\n  - x: {"))
    assert "1 fault;" in page.text and "This is no YAML" in page.text and "line 2" in page.text


def test_a_sound_draft_is_told_with_its_digest_and_its_differences(erin: Visitor) -> None:
    answer = send(erin, "check", STRICTER)
    check(answer)
    text = text_of(answer)
    assert answer.status_code == 200
    assert "No faults." in text and digest(from_text(STRICTER)).hex() in text
    assert "The rule 'Nobody is paid twice as much' is new, as no. 1." in text
    assert not Change.objects.exists()
    assert "It says what is in force already." in text_of(
        send(erin, "check", to_yaml(Policy.objects.get().body))
    )


def test_a_rule_that_nobody_can_satisfy_is_a_fault(erin: Visitor) -> None:
    many = STRICTER.replace("group: payments", "group: payments, count: 5")
    for verb in ("check", "propose"):
        answer = send(erin, verb, many)
        assert answer.status_code == 422
        assert f"The rule '{NAME}' asks for 5 of" in text_of(answer)
    assert not Change.objects.exists()


def test_who_drafts_and_who_agrees_read_that_no_gate_would_hold_a_tool(
    world: World, erin: Visitor
) -> None:
    """`add` is safe and runs in the worker: the rule would never be asked about it."""
    said = "No tool 'add' with effects or a secret is declared."
    assert said not in text_of(send(erin, "check", STRICTER))
    named = STRICTER.replace(
        "{tool: pay, amount: {currency: EUR, up", "{tools: [pay, add], amount: {currency: EUR, up"
    )
    answer = send(erin, "check", named)
    check(answer)
    text = text_of(answer)
    assert answer.status_code == 200 and "No faults." in text
    assert "1 warning; it can be proposed all the same" in text
    assert f"Rule 2 {said}" in " ".join(text.split())
    assert send(erin, "propose", named).status_code == 302
    second = visitors.visit_as(an_admin(world, "frank"))
    assert f"Rule 2: {said}" in text_of(second.get(f"/changes/{Change.objects.get().pk}/"))


def test_a_file_takes_the_place_of_the_text_and_proposes_nothing(erin: Visitor) -> None:
    upload = SimpleUploadedFile("policy.yaml", STRICTER.encode())
    answer = send(erin, "propose", "rules: []", upload=upload)
    page = Page(answer)
    assert page.field("text").text.strip() == STRICTER.strip()
    assert "No faults." in page.text and not Change.objects.exists()
    answer = send(erin, "check", STRICTER, upload=SimpleUploadedFile("x.bin", b"\xff\xfe"))
    page = Page(answer)
    assert "The file is not text in UTF-8" in page.text
    assert page.field("text").text.strip() == STRICTER.strip()


def test_a_draft_is_tried_on_past_requests(world: World, erin: Visitor) -> None:
    world.park_at_gates(4000, 9870)
    before = visitors.written()
    answer = send(erin, "try", STRICTER)
    check(answer)
    page = Page(answer)
    assert "Newly allowed 0 Newly blocked 1 Newly asked 0 Asked otherwise 0 The same 1" in page.text
    _head, first, second = page.texts("tr")
    assert first.startswith("€98.70 pay") and "Newly blocked" in first
    assert "The rule 'Nobody is paid twice as much' blocks it: Too much." in first
    assert second.startswith("€40.00 pay") and "The same" in second
    assert visitors.written() == before


def test_without_past_requests_a_trial_says_so(erin: Visitor) -> None:
    assert "No past requests" in text_of(send(erin, "try", STRICTER))


def test_two_admins_publish_a_draft(world: World, erin: Visitor) -> None:
    answer = send(erin, "propose", STRICTER)
    change = Change.objects.get()
    assert answer.headers["Location"] == f"/changes/{change.pk}/"
    answer = visitors.visit_as(an_admin(world, "frank")).get(f"/changes/{change.pk}/")
    check(answer)
    page = Page(answer)
    assert "Publish a policy of 2 rules" in page.text
    assert "Before: version 1." in page.text
    assert "The rule 'Nobody is paid twice as much' is new, as no. 1." in page.text
    assert digest(from_text(page.all("pre")[0].text)) == digest(from_text(STRICTER))
    assert "A new version is proposed by erin" in text_of(erin.get("/policies/"))
    frank = visitors.visit_as(type(world.erin).objects.get(username="frank"))
    frank.post(
        f"/changes/{change.pk}/say/",
        verdict="approve",
        digest=bytes(change.digest).hex(),
        reason="",
    )
    assert keep(change).status == "applied"
    current = Policy.objects.get(tenant=world.tenant, retired_at=None)
    assert (current.number, bytes(current.digest)) == (2, digest(from_text(STRICTER)))
    text = text_of(erin.get(f"/changes/{change.pk}/"))
    assert "The rule 'Nobody is paid twice as much' is new, as no. 1." in text


def test_a_proposal_takes_a_reason_and_something_new(erin: Visitor) -> None:
    answer = send(erin, "propose", STRICTER, reason=" ")
    assert answer.status_code == 422 and "Nothing was proposed." in text_of(answer)
    same = to_yaml(Policy.objects.get().body)
    answer = send(erin, "propose", same)
    assert "Nothing was proposed. The draft says what is in force already." in text_of(answer)
    assert not Change.objects.exists()
    assert send(erin, "propose", STRICTER).status_code == 302


def test_a_draft_of_an_older_version_is_not_proposed_unseen(world: World, erin: Visitor) -> None:
    world.policy(name="More", above_minor=1_000_000, up_to_minor=2_000_000)
    answer = send(erin, "propose", STRICTER)
    page = Page(answer)
    assert answer.status_code == 422
    assert "Version 2 has come into force since you began." in page.text
    assert "The rule 'More', which was no. 2, is gone." in page.text
    assert not Change.objects.exists()
    assert send(erin, "propose", STRICTER, base=page.field("base").attributes["value"])
    assert Change.objects.count() == 1


def test_what_admins_write_is_text(world: World, erin: Visitor) -> None:
    hostile = STRICTER.replace("Too much.", "<script>alert(1)</script>")
    check(send(erin, "check", hostile))
    with as_role("placet_owner"):
        policies.publish(tenant=world.tenant, document=from_text(hostile))
    for path in ("/policies/", "/policies/2/", "/policies/draft/"):
        answer = erin.get(path)
        check(answer)
        assert "<script>alert(1)</script>" in text_of(answer)

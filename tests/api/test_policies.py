"""The policy by API: its versions, and what is wrong with a draft."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import policies
from approvals.models import Policy
from approvals.rules.document import digest, from_text
from tests.api import callers
from tests.approvals.rules.asking import BLOCK, CONSENT, document, rule
from tests.harness import World, as_role

SOUND = 'rules: [{name: "all", then: {consent: {group: payments}}}]'


@pytest.fixture
def dave(world: World) -> callers.Caller:
    return callers.with_token(world.dave, "policies:read")


def test_versions_are_listed_and_read(world: World, dave: callers.Caller) -> None:
    with as_role("placet_owner"):
        second = policies.publish(tenant=world.tenant, document=document(rule(CONSENT)))
    listed = dave.get("policies").json()["items"]
    assert [(one["number"], one["retired_at"] is None) for one in listed] == [(2, True), (1, False)]
    one = dave.get("policies/2").json()
    assert one["digest"] == listed[0]["digest"] == bytes(second.digest).hex()
    assert one["document"] == second.body
    assert digest(from_text(one["text"])).hex() == one["digest"]
    assert one["phrase"]


def test_what_other_tenants_have_is_not_there(world: World) -> None:
    stranger = callers.with_token(callers.make_person("olivia", "admin", tenant="elsewhere"))
    assert stranger.get("policies").json() == {"items": []}
    for number in ("1", "0", "-1", "9" * 30):
        assert callers.problem(stranger.get(f"policies/{number}")) == (404, "not-found")


@pytest.mark.parametrize("form", ["text", "document"])
def test_a_sound_draft_has_a_digest_and_no_faults(dave: callers.Caller, form: str) -> None:
    short = {"rules": [rule(CONSENT, "all")]}
    answer = dave.post("policies/check", {"text": SOUND} if form == "text" else {"document": short})
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["faults"] == []
    assert told["document"] == from_text(SOUND)
    assert told["digest"] == digest(from_text(SOUND)).hex()


@pytest.mark.parametrize(
    ("draft", "pointer", "detail"),
    [
        ({"text": "rules: ["}, "", "This is no YAML"),
        ({"document": {"rules": 1}}, "/rules", "This must be a list"),
        ({"document": {"rules": [], "colour": 1}}, "/colour", "This is not known here"),
    ],
)
def test_every_fault_has_its_place(
    dave: callers.Caller, draft: Any, pointer: str, detail: str
) -> None:
    before = Policy.objects.count()
    told = dave.post("policies/check", draft).json()
    (fault,) = told["faults"]
    assert fault["pointer"] == pointer and fault["detail"].startswith(detail)
    assert (told["digest"], told["document"]) == ("", None)
    assert Policy.objects.count() == before


def test_a_rule_that_nobody_could_satisfy_is_a_fault(dave: callers.Caller) -> None:
    nobody = {"rules": [rule({"consent": {"group": "nobody"}})]}
    (fault,) = dave.post("policies/check", {"document": nobody}).json()["faults"]
    assert "nobody could satisfy it" in fault["detail"]
    assert (
        dave.post("policies/check", {"document": {"rules": [rule(BLOCK)]}}).json()["faults"] == []
    )


def test_a_rule_about_a_tool_that_no_gate_can_hold_is_a_warning(dave: callers.Caller) -> None:
    named = {"rules": [rule(CONSENT, "one", tool="pay"), rule(CONSENT, "two", tool="add")]}
    told = dave.post("policies/check", {"document": named}).json()
    assert told["faults"] == []
    (warning,) = told["warnings"]
    assert warning["pointer"] == "/rules/1/when/tools"
    assert warning["detail"].startswith("No tool 'add' with effects or a secret is declared.")


@pytest.mark.parametrize("body", [{}, {"text": SOUND, "document": {}}, {"text": "x" * 262_145}])
def test_a_check_takes_the_text_or_the_document(dave: callers.Caller, body: Any) -> None:
    assert callers.problem(dave.post("policies/check", body)) == (422, "invalid-request")

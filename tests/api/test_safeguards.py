"""Freezing, thawing and changing groups through the API."""

from __future__ import annotations

from typing import Any

from approvals import changes
from approvals.models import Change, Freeze, Reviewer
from tests.api import callers
from tests.approvals.authenticator import KeyFile
from tests.approvals.enrolled import enrol
from tests.approvals.proposals import an_admin
from tests.harness import World, as_role


def the_gatekeeper_looks() -> None:
    with as_role("placet_gatekeeper"):
        changes.sweep()


def agree(caller: callers.Caller, change: dict[str, Any], verdict: str = "approve") -> Any:
    body = {"verdict": verdict, "digest": change["digest"], "reason": "Yes."}
    return caller.post(f"changes/{change['id']}/voices", body)


def test_what_is_frozen_is_listed_thawed_by_two_admins_and_listed_as_lifted(world: World) -> None:
    frank = an_admin(world, "frank")
    bob, erin = callers.with_token(world.bob), callers.with_token(world.erin)
    frozen = bob.post("freezes", {"scope": "tool", "subject": "pay", "reason": "It is odd."})
    assert frozen.status_code == 201
    shown = frozen.json()
    assert (shown["scope"], shown["subject"], shown["by"]) == ("tool", "pay", "bob")
    assert [one["id"] for one in erin.get("freezes").json()["items"]] == [shown["id"]]

    change = erin.post(f"freezes/{shown['id']}/thaw", {"reason": "It was a test."}).json()
    assert change["title"] == "Thaw the tool pay"
    assert change["why_not"] == "You proposed this, so the second voice must be another admin's."
    assert callers.problem(agree(erin, change)) == (409, "change-refused")
    told = agree(callers.with_token(frank), change)
    assert [v["person"] for v in told.json()["voices"]] == ["frank"]
    the_gatekeeper_looks()
    assert erin.get("freezes").json()["items"] == []
    (lifted,) = erin.get("freezes", active="false").json()["items"]
    assert lifted["lifted_by"] == change["id"]
    assert erin.get(f"changes/{change['id']}").json()["state"] == "applied"


def test_a_member_is_proposed_and_agreed_to(world: World) -> None:
    frank, erin = callers.with_token(an_admin(world, "frank")), callers.with_token(world.erin)
    asked = {"kind": "add_reviewer", "group": "payments", "username": "mallory", "reason": "x"}
    change = erin.post("changes", asked).json()
    assert change["body"] == {
        "group": "payments",
        "person": world.mallory.pk,
        "username": "mallory",
    }
    assert agree(frank, change).status_code == 201
    the_gatekeeper_looks()
    assert Reviewer.objects.filter(person=world.mallory, group="payments").exists()
    states = [one["state"] for one in erin.get("changes", state="applied").json()["items"]]
    assert states == ["applied"]
    assert erin.get("changes", state="open").json()["items"] == []


def test_what_is_refused_says_why_and_leaves_nothing(world: World) -> None:
    bob, erin = callers.with_token(world.bob), callers.with_token(world.erin)
    for call, body, why in (
        ("freezes", {"scope": "tool", "reason": "x"}, (409, "freeze-refused")),
        ("freezes", {"scope": "everything", "reason": " "}, (422, "reason-required")),
    ):
        assert callers.problem(bob.post(call, body)) == why
    asked = {"kind": "add_reviewer", "group": "payments", "username": "bob", "reason": "x"}
    answer = erin.post("changes", asked)
    assert callers.problem(answer) == (409, "change-refused")
    assert answer.json()["detail"] == "The group 'payments' has bob already."
    answer = erin.post("changes", asked | {"username": "nobody"})
    assert callers.problem(answer) == (404, "not-found")
    assert not Freeze.objects.exists() and not Change.objects.exists()


def test_a_voice_over_another_digest_is_no_voice(world: World) -> None:
    frank, erin = callers.with_token(an_admin(world, "frank")), callers.with_token(world.erin)
    asked = {"kind": "add_reviewer", "group": "payments", "username": "mallory", "reason": "x"}
    change = erin.post("changes", asked).json()
    answer = agree(frank, change | {"digest": "0" * 64})
    assert callers.problem(answer) == (409, "digest-mismatch")


def test_the_same_key_freezes_once(world: World) -> None:
    bob = callers.with_token(world.bob)
    body = {"scope": "everything", "reason": "Stop."}
    first = bob.post("freezes", body, Idempotency_Key="one")
    again = bob.post("freezes", body, Idempotency_Key="one")
    assert first.json() == again.json() and again.headers["Idempotent-Replayed"] == "true"
    assert Freeze.objects.count() == 1


def test_a_fresh_key_is_listed_and_vouched_for_by_two_admins(world: World) -> None:
    key = enrol(world.bob, KeyFile(), "Desk")
    frank, erin = callers.with_token(an_admin(world, "frank")), callers.with_token(world.erin)
    (listed,) = erin.get("keys").json()["items"]
    told = {name: listed[name] for name in ("id", "person", "name", "kind", "state")}
    assert told == {
        "id": str(key.pk),
        "person": "bob",
        "name": "Desk",
        "kind": "file",
        "state": "fresh",
    }
    change = erin.post(f"keys/{key.pk}/vouch", {"reason": "He called me."}).json()
    assert change["title"] == "Vouch for the key Desk of bob"
    assert agree(frank, change).status_code == 201
    the_gatekeeper_looks()
    assert erin.get("keys").json()["items"] == []
    answer = erin.post(f"keys/{key.pk}/vouch", {"reason": "Again."})
    assert callers.problem(answer) == (409, "key-refused")

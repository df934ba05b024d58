"""Canaries in the API and the terminal: told to who decided, and to all once they are over."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.models import Gate
from runs import canonical
from tests.api import callers
from tests.api.callers import Caller
from tests.approvals import former, planted
from tests.commands.terminal import run
from tests.harness import PASSWORD, World

OWN = ("id", "run_id", "step_id", "digest", "phrase", "opened_at", "expires_at")
OWN_OF_ENVELOPE = ("gate", "run", "step", "key", "nonce", "not_before", "expires_at")


def shown(caller: Caller, gate: Gate) -> dict[str, Any]:
    """What the API says of a gate, without what differs between any two."""
    told: dict[str, Any] = caller.get(f"gates/{gate.id}").json()
    told = {name: value for name, value in told.items() if name not in OWN}
    for name in OWN_OF_ENVELOPE:
        del told["envelope"][name]
    del told["envelope"]["circumstances"]["at"]
    return told


def test_nobody_tells_an_open_canary_from_a_real_request_by_the_api(world: World) -> None:
    gate = planted.planted_with(world, "account")
    bob = callers.with_token(world.bob)
    of_canary = shown(bob, gate)
    runs = [bob.get(f"runs/{gate.run_id}").json()]
    (real,) = former.ask(world, canonical.decode(gate.step.arguments))
    assert of_canary == shown(bob, real)
    assert of_canary["canary"] is None and of_canary["was_canary"] is False
    runs.append(bob.get(f"runs/{real.run_id}").json())
    assert runs[0].keys() == runs[1].keys()
    same = ("workflow", "version", "status", "requested_by", "error", "waiting_for")
    assert [runs[0].get(name) for name in same] == [runs[1].get(name) for name in same]


@pytest.mark.parametrize(("verdict", "is_caught"), [("approve", False), ("deny", True)])
def test_the_answer_to_a_decision_says_at_once_that_it_was_a_canary(
    world: World, verdict: str, is_caught: bool
) -> None:
    gate = planted.planted_with(world, "amount")
    bob, carol = callers.with_token(world.bob), callers.with_token(world.carol)
    body = {"verdict": verdict, "digest": bytes(gate.digest).hex(), "reason": "odd"}
    answer = bob.post(f"gates/{gate.id}/decisions", body)
    assert answer.status_code == 201
    told = answer.json()["canary"]
    assert (told["flaw"], told["is_caught"]) == ("amount", is_caught)
    assert "This was a canary: a test that can never be paid." in told["said"]
    assert carol.get(f"gates/{gate.id}").json()["canary"] is None
    world.settle()
    after = carol.get(f"gates/{gate.id}").json()
    assert (after["was_canary"], after["state"]) == (True, "withdrawn")
    assert after["canary"]["is_caught"] is None
    (listed,) = carol.get("gates", state="withdrawn").json()["items"]
    assert listed["was_canary"] is True


def test_a_decision_about_a_real_request_is_no_canary(world: World) -> None:
    (gate,) = world.gates(world.park_at_gates(9870))
    body = {"verdict": "approve", "digest": bytes(gate.digest).hex()}
    answer = callers.with_token(world.bob).post(f"gates/{gate.id}/decisions", body)
    assert answer.json()["canary"] is None


def test_the_figures_of_the_api_count_canaries_apart(world: World) -> None:
    gate = planted.planted_with(world, "amount")
    world.decide(gate, world.bob, "approve")
    items = callers.with_token(world.bob).get("reviewers/figures").json()["items"]
    bob = next(one for one in items if one["person"] == "bob" and not one["rule"])
    assert (bob["decisions"], bob["canaries"], bob["caught"], bob["caught_percent"]) == (1, 1, 0, 0)


def test_the_terminal_says_at_once_that_it_was_a_canary(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACET_PASSWORD", PASSWORD)
    gate = planted.planted_with(world, "account")
    said = run("decide", str(gate.id), "--user", "bob", "--deny", "--yes", "--reason", "odd")
    assert "canary" not in said.out.partition("Recorded:")[0]
    assert "This was a canary: a test that can never be paid." in said.out
    assert "You caught it" in said.out

"""manage.py policy"""

from __future__ import annotations

from typing import Any

import pytest

from approvals.models import Policy
from console.models import AuditEntry
from tests.commands.terminal import Said, as_owner, run
from tests.harness import World

RULE = ("--tool", "pay", "--currency", "EUR", "--group", "payments", "--quorum", "2")


def rule_of(said: Said) -> dict[str, Any]:
    """The rule that a command has just put behind the others."""
    return Policy.objects.get(id=said.out.strip()).body["rules"][-1]


def test_amounts_are_decimals_of_the_currency_or_minor_units(world: World) -> None:
    for name, line in (
        ("Large", ("--above", "500.00", "--up-to", "10000.5")),
        ("Larger", ("--above-minor", "50000", "--up-to-minor", "1000050")),
    ):
        said = as_owner("policy", "add", name, *RULE, *line, "--tenant", world.tenant)
        rule = rule_of(said)
        assert rule["when"]["amounts"] == [
            {"currency": "EUR", "above_minor": 50_000, "up_to_minor": 1_000_050}
        ]
        consent = rule["then"]["consent"]
        assert [one["count"] for one in consent["thresholds"]] == [2]
        assert consent["expires_after_seconds"] == 72 * 3600
    listed = as_owner("policy", "list").out
    assert "10,000.50 EUR" in listed and "2 of payments" in listed
    policy = Policy.objects.get(id=said.out.strip())
    newest = AuditEntry.objects.filter(action="policy_published").order_by("-at").first()
    assert newest is not None
    assert newest.detail == {
        "version": policy.number,
        "rule": "Larger",
        "digest": bytes(policy.digest).hex(),
    }


def test_a_tool_that_nothing_declares_is_a_slip_unless_it_is_meant(world: World) -> None:
    line = ("policy", "add", "New", *RULE, "--up-to", "10", "--tool")
    for name in ("pya", "add"):
        assert f"No tool named '{name}' that moves money" in as_owner(*line, name).refusal
    said = as_owner(*line, "pay_later", "--unknown-tool")
    assert rule_of(said)["when"]["tools"] == ["pay_later"]


def test_a_group_that_is_too_small_for_its_rule_is_named(world: World) -> None:
    line = ("policy", "add", "Small", *RULE, "--up-to", "10", "--tenant", world.tenant)
    assert as_owner(*line).err == ""
    said = as_owner(*(word if word != "Small" else "Three" for word in line), "--quorum", "3")
    assert "The rule needs 3 of payments, which has 2" in said.err
    assert Policy.objects.filter(id=said.out.strip()).exists()


def test_a_currency_without_decimals_takes_none(world: World) -> None:
    yen = ("--tool", "pay", "--currency", "JPY", "--group", "payments", "--quorum", "1")
    said = as_owner("policy", "add", "Yen", *yen, "--up-to", "5000")
    assert rule_of(said)["when"]["amounts"][0]["up_to_minor"] == 5000
    assert (
        "more than the 0 decimals of JPY"
        in as_owner("policy", "add", "Yen", *yen, "--up-to", "5000.5").refusal
    )


REFUSED = [
    (("--up-to", "10.005"), "has more than the 2 decimals of EUR"),
    (("--up-to", "1e3"), "is not an amount"),
    (("--up-to", "-5"), "is not an amount"),
    (("--up-to", "NaN"), "is not an amount"),
    (("--up-to", "1,000"), "is not an amount"),
    (("--up-to", "\u0665"), "is not an amount"),
    (("--up-to-minor", "-5"), "is not an amount"),
    (("--up-to-minor", "5.5"), "invalid int value"),
    (("--up-to", "1" + "0" * 30), "is more than the"),
    (("--above", "10", "--up-to", "10"), "The band must run from 0"),
    (("--up-to", "10", "--currency", "XXQ"), "'XXQ' is not an ISO 4217 currency."),
    (("--up-to", "10", "--quorum", "0"), "A quorum is from 1 to"),
    (("--up-to", "10", "--expires-hours", "0"), "A gate stays open from 1 to"),
    (("--up-to", "10", "--tool", "a" * 129), "The tool must be 1 to 128"),
    (("--up-to", "10", "--group", "a\0"), "The group must be 1 to 63"),
    ((), "one of the arguments --up-to --up-to-minor is required"),
]


@pytest.mark.parametrize(("changed", "sentence"), REFUSED)
def test_a_rule_that_cannot_be_is_refused_in_a_sentence(
    world: World, changed: tuple[str, ...], sentence: str
) -> None:
    before = Policy.objects.count()
    said = as_owner("policy", "add", "Wrong", *RULE, *changed)
    assert sentence in said.refusal, said.refusal
    assert Policy.objects.count() == before
    assert not AuditEntry.objects.exists()


def test_a_retired_rule_is_no_longer_in_force_and_its_version_is_kept(world: World) -> None:
    before = Policy.objects.get()
    name = before.body["rules"][0]["name"]
    line = ("policy", "retire", name, "--tenant", world.tenant)
    assert as_owner(*line).out.strip() == f"Version 2 is in force, without the rule {name}."
    assert "There are no rules in force." in as_owner("policy", "list").out
    assert as_owner(*line).refusal == f"The policy has no rule {name!r}."
    before.refresh_from_db()
    assert before.retired_at is not None and before.body["rules"][0]["name"] == name


def test_the_web_process_cannot_publish_a_rule(world: World) -> None:
    said = run("policy", "add", "Mine", *RULE, "--up-to", "10")
    assert "owner" in said.refusal
    assert Policy.objects.count() == 1

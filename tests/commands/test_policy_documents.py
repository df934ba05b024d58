"""manage.py policy, with whole documents: show, publish, test, simulate, diff"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals.models import Policy
from approvals.rules.document import digest, from_text
from console.models import AuditEntry
from tests.commands.terminal import Said, as_owner, run
from tests.harness import World

NAME = "Payments up to 10,000 euro"
STRICTER = """\
rules:
  - name: Too much
    when: {tool: pay, amount: {currency: EUR, above_minor: 5000}}
    then: {block: Too much.}
  - name: Payments up to 10,000 euro
    when: {tool: pay, amount: {currency: EUR, up_to_minor: 1000000}}
    then:
      consent: {group: payments, expires_after_seconds: 3600}
"""
FAULTY = "rules: [{name: Broken, colour: red, then: {consent: {count: 0}}}]"
CASES = """\
- name: a small one
  request: {tool: pay, amount_minor: 4000, currency: EUR, payee: DE89370400440532013000}
  expect: {answer: consent, rule: "Payments up to 10,000 euro", tier: confirm}
- name: a large one
  request: {tool: pay, amount_minor: 5001, currency: EUR, payee: DE89370400440532013000}
  expect: block
- name: dollars
  request: {tool: pay, amount_minor: 1, currency: USD, payee: DE89370400440532013000}
  expect: held
"""


class Desk:
    """A folder with drafts, and the owner who tries them in one tenant."""

    def __init__(self, folder: Path, tenant: str) -> None:
        self.folder, self.tenant = folder, tenant

    def file(self, text: str, name: str = "policy.yaml") -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def say(self, verb: str, *arguments: str, role: str = "placet_owner") -> Said:
        return run("policy", verb, *arguments, "--tenant", self.tenant, role=role)


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Desk:
    return Desk(tmp_path, world.tenant)


def versions() -> list[int]:
    return list(Policy.objects.order_by("number").values_list("number", flat=True))


def test_a_document_is_published_and_shown_as_it_can_be_read_again(desk: Desk) -> None:
    said = desk.say("publish", desk.file(STRICTER))
    assert said.refusal == "" and said.out.startswith("Version 2 is in force: ")
    current = Policy.objects.get(retired_at=None)
    assert bytes(current.digest) == digest(from_text(STRICTER))
    entry = AuditEntry.objects.get(action="policy_published")
    assert entry.detail["digest"] == bytes(current.digest).hex()
    for form in ((), ("--json",)):
        assert digest(from_text(desk.say("show", *form).out)) == bytes(current.digest)
    first = desk.say("show", "--version", "1").out
    assert first.startswith(f"# Version 1 of {desk.tenant}, in force from ") and NAME in first
    assert desk.say("show", "--version", "3").refusal == (
        f"There is no version 3 for the tenant {desk.tenant}."
    )
    refusal = as_owner("policy", "show", "--tenant", "elsewhere").refusal
    assert refusal == "No version is in force for the tenant elsewhere."


def test_a_document_with_faults_is_refused_with_all_of_them(desk: Desk) -> None:
    path = desk.file(FAULTY)
    for line in (("publish", path), ("simulate", path), ("diff", path), ("test", path, path)):
        refusal = desk.say(*line).refusal
        assert refusal.startswith(f"{path} has 3 faults:\nPLACE")
        assert "/rules/0/colour" in refusal and "This is not known here" in refusal
        assert "/rules/0/then/consent" in refusal
    assert versions() == [1]
    assert desk.say("publish", desk.file(STRICTER)).refusal == ""


def test_what_is_in_force_already_is_not_published_again(desk: Desk) -> None:
    path = desk.file(STRICTER)
    assert desk.say("publish", path).refusal == ""
    assert desk.say("publish", path).refusal == "This is in force already; nothing was published."
    assert versions() == [1, 2]


def test_a_rule_that_nobody_can_satisfy_is_published_only_ahead_of_people(desk: Desk) -> None:
    path = desk.file(STRICTER.replace("group: payments", "group: payments, count: 3"))
    refusal = desk.say("publish", path).refusal
    assert refusal.startswith(f"The rule '{NAME}' asks for 3 of") and versions() == [1]
    assert refusal.endswith("Nothing was published.")
    said = desk.say("publish", path, "--ahead-of-people")
    assert "Until then its requests are held." in said.err and versions() == [1, 2]


def test_a_rule_about_what_no_gate_can_hold_is_told_and_published_all_the_same(desk: Desk) -> None:
    """`add` is safe and runs in the worker; `launch` moves no money, and is held where named."""
    tools = "tools: [launch, add, pay, pay_later]"
    path = desk.file(
        STRICTER.replace(
            "tool: pay, amount: {currency: EUR, up", f"{tools}, amount: {{currency: EUR, up"
        )
    )
    said = [desk.say("test", path, desk.file(CASES, "cases.yaml")), desk.say("publish", path)]
    for one in said:
        assert one.refusal == ""
        assert one.err.splitlines() == [
            f"/rules/1/when/tools: No tool '{tool}' with effects or a secret is declared. A safe"
            " one runs in the worker, where no gate holds it: this rule would never be asked about"
            " it."
            for tool in ("add", "pay_later")
        ]
    assert versions() == [1, 2]
    assert desk.say("publish", desk.file(STRICTER)).err == ""


def test_the_web_process_publishes_no_document(desk: Desk) -> None:
    assert "owner" in desk.say("publish", desk.file(STRICTER), role="placet_web").refusal
    assert versions() == [1]


def test_files_that_cannot_be_read_are_named(desk: Desk) -> None:
    assert desk.say("diff", "/nowhere").refusal == (
        "/nowhere cannot be read: No such file or directory."
    )
    path = desk.folder / "bytes"
    path.write_bytes(b"\xff\xfe")
    assert desk.say("diff", str(path)).refusal == f"{path} is not text in UTF-8."
    refusal = desk.say("diff", desk.file("#" * 262_145)).refusal
    assert "The text is longer than 262144 bytes." in refusal


def test_cases_that_are_answered_as_expected_pass(desk: Desk) -> None:
    said = desk.say("test", desk.file(STRICTER), desk.file(CASES, "cases.yaml"))
    assert said.refusal == "", said.out
    assert "ok       a large one" in said.out
    assert said.out.endswith("All 3 cases are answered as expected.\n")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("5001", "5000", "the answer is consent, not block."),
        ("expect: held", "expect: consent", "the answer is held, not consent."),
        ('rule: "Payments up', 'rule: "Payments above', f"the rule is {NAME}, not Payments above"),
        ("tier: confirm", "tier: passkey", "the tier is confirm, not passkey."),
    ],
)
def test_a_case_that_is_answered_otherwise_is_told(
    desk: Desk, before: str, after: str, told: str
) -> None:
    changed = CASES.replace(before, after)
    assert changed != CASES
    said = desk.say("test", desk.file(STRICTER), desk.file(changed, "cases.yaml"))
    assert told in said.out
    assert said.refusal == "1 of 3 cases are not answered as expected."


CIRCUMSTANCES = """\
rules:
  - name: new
    when: {tool: pay, payee: {first_seen: true}}
    then: {block: A stranger.}
  - name: changed
    when: {tool: pay, changed: [iban]}
    then: {block: It has changed.}
  - name: much
    when:
      tool: pay
      sum: {by: payee, currency: EUR, window_seconds: 86400, above_minor: 10000}
    then: {block: Too much.}
  - name: at night
    when: {tool: pay, time: {zone: UTC, from: 08:00, to: 18:00, within: false}}
    then: {block: It is late.}
  - {name: the rest, then: allow}
"""
SUM = "{by: payee, currency: EUR, window_seconds: 86400, amount_minor: %d}"
QUIET = f"first_seen: false, changed: {{iban: false}}, sums: [{SUM % 9000}]"
KNOWN: list[tuple[str, str, str, str]] = [
    (QUIET, "", "allow", "the rest"),
    (QUIET.replace("9000", "9001"), "", "block", "much"),
    (QUIET.replace("first_seen: false", "first_seen: true"), "", "block", "new"),
    (QUIET.replace("iban: false", "iban: true"), "", "block", "changed"),
    (QUIET.replace("{iban: false}", "{}"), "", "block", "changed"),
    (QUIET.replace("first_seen: false, ", ""), "", "held", "new"),
    (QUIET, ", at: 2026-11-24T20:00:00Z", "block", "at night"),
]


@pytest.mark.parametrize(("known", "more", "answer", "rule"), KNOWN)
def test_a_case_says_what_rows_would_tell(
    desk: Desk, known: str, more: str, answer: str, rule: str
) -> None:
    case = (
        "cases: [{name: it, request: {tool: pay, amount_minor: 1000, currency: EUR, payee: X,"
        f" arguments: {{iban: X}}{more}}}, known: {{{known}}},"
        f" expect: {{answer: {answer}, rule: {rule}}}}}]"
    )
    said = desk.say("test", desk.file(CIRCUMSTANCES), desk.file(case, "cases.yaml"))
    assert said.refusal == "", said


@pytest.mark.parametrize(
    ("case", "place", "sentence"),
    [
        ("{}", "/cases/0/name", "This is missing."),
        ("{}", "/cases/0/expect", "This is missing."),
        ("{name: x, expect: maybe}", "/cases/0/expect/answer", "This must be one of consent"),
        ("{request: {payee: x}}", "/cases/0/request/payee", "name the amount_minor as well"),
        ("{request: {at: today}}", "/cases/0/request/at", "a moment with its offset"),
        ("{request: {at: 2026-01-01T00:00:00}}", "/cases/0/request/at", "with its offset"),
        ("{known: {changed: {a: 1}}}", "/cases/0/known/changed", "true or false of each"),
        ("{known: {paid: 1}}", "/cases/0/known/paid", "This is not known here"),
        (
            "{request: {amount_minor: 1, currency: XXQ}}",
            "/cases/0/request/currency",
            "'XXQ' is not an ISO 4217 currency.",
        ),
    ],
)
def test_a_case_with_a_fault_is_refused_with_its_place(
    desk: Desk, case: str, place: str, sentence: str
) -> None:
    said = desk.say("test", desk.file(STRICTER), desk.file(f"[{case}]", "cases.yaml"))
    lines = [line for line in said.refusal.splitlines() if line.startswith(f"{place} ")]
    assert any(sentence in line for line in lines), said.refusal


def test_a_document_is_tried_on_past_requests(world: World, desk: Desk) -> None:
    world.park_at_gates(4000, 9870)
    before: Any = list(Policy.objects.values_list("digest", flat=True))
    said = desk.say("simulate", desk.file(STRICTER), role="placet_web")
    counts = [line.split(maxsplit=1) for line in said.out.splitlines()[:5]]
    assert counts == [
        ["0", "newly allowed"],
        ["1", "newly blocked"],
        ["0", "newly asked"],
        ["0", "asked otherwise"],
        ["1", "same"],
    ]
    assert "newly blocked: pay, gate " in said.out
    assert "this one: block. The rule 'Too much' blocks it: Too much." in said.out
    one = desk.say("simulate", desk.file(STRICTER), "--most", "1").out
    assert sum(int(line.split()[0]) for line in one.splitlines()[:5]) == 1
    refusal = desk.say("simulate", desk.file(STRICTER), "--most", "0").refusal
    assert refusal == "From 1 to 5000 past requests can be replayed."
    assert list(Policy.objects.values_list("digest", flat=True)) == before


def test_what_a_document_does_otherwise_is_told(desk: Desk) -> None:
    path = desk.file(STRICTER)
    said = desk.say("diff", path).out
    assert "The rule 'Too much' is new, as no. 1.\n" in said
    assert "  + it is blocked: Too much.\n" in said
    other = desk.file(STRICTER.replace("3600", "7200"), "other.yaml")
    said = desk.say("diff", path, other).out
    assert said == (f"The rule '{NAME}' has changed.\n  - within 1 hour\n  + within 2 hours\n")
    assert desk.say("diff", path, path).out == "They differ in nothing.\n"

"""Documents: one normal form, one digest, and a sentence with its place for every fault."""

from __future__ import annotations

from typing import Any

import pytest

from approvals import limits
from approvals.rules.document import (
    InvalidPolicy,
    digest,
    from_text,
    normalise,
    to_json,
    to_yaml,
)
from tests.approvals.rules.asking import BLOCK, CONSENT, DAY, document, rule

FULL = """
# Every part of the language, written as people write it.
v: 1
lists:
  barred: [NL91ABNA0417164300, "000123"]
  no: [no, 18:00, 2026-12-25, 1.50, 007]
freezes:
  - {scope: payee, denials: 3, within_seconds: 3600}
rules:
  - name: Never to whom we barred
    when: {payee: {in: barred}}
    then: {block: "We do not pay them: they are barred."}
  - name: Large
    when:
      tool: pay
      amount: {currency: EUR, above_minor: 1000000}
      sums:
        - {by: payee, currency: EUR, window_seconds: 86400, above_minor: 0}
      changed: iban
      free_text: true
      time: {zone: Europe/Berlin, from: 08:00, to: 18:00, holidays: [2026-12-25], within: false}
    then:
      consent:
        tier: critical
        mode: any
        thresholds:
          - {group: payments, count: 2}
          - {name: the board, role: reviewer, count: 3, member_for_seconds: 86400}
        expires_after_seconds: 7200
        remind_after_seconds: 600
        escalation: {after_seconds: 3600, groups: board}
        cooling_off_seconds: 900
        dwell_seconds: 5
  - name: "0"
    then: allow
"""


def errors(data: Any) -> dict[str, str]:
    with pytest.raises(InvalidPolicy) as caught:
        normalise(data)
    assert caught.value.errors
    return dict(caught.value.errors)


def test_the_normal_form_has_every_default() -> None:
    assert normalise({"rules": [{"name": "any", "then": CONSENT}]}) == {
        "v": 1,
        "lists": {},
        "freezes": [],
        "rules": [
            {
                "name": "any",
                "when": {},
                "then": {
                    "consent": {
                        "tier": "confirm",
                        "mode": "all",
                        "thresholds": [
                            {
                                "name": "payments",
                                "group": "payments",
                                "role": None,
                                "count": 1,
                                "member_for_seconds": 0,
                            }
                        ],
                        "expires_after_seconds": 86_400,
                        "remind_after_seconds": 0,
                        "escalation": None,
                        "cooling_off_seconds": 0,
                        "dwell_seconds": 0,
                    }
                },
            }
        ],
    }


def test_what_is_written_shortly_is_the_same_document() -> None:
    short = rule(CONSENT, tool="pay", amount={"currency": "EUR", "up_to_minor": 10})
    threshold = {"name": "payments", "group": "payments", "count": 1}
    long = rule(
        {"consent": {"thresholds": [threshold]}},
        tools=["pay", "pay"],
        amounts=[{"currency": "EUR", "above_minor": 0, "up_to_minor": 10}],
    )
    assert digest(document(short)) == digest(document(long))
    assert digest(document(short)) != digest(document(long, long | {"name": "again"}))


def test_one_threshold_is_neither_any_nor_all() -> None:
    any_, all_ = (document(rule({"consent": {"group": "a", "mode": m}})) for m in ("any", "all"))
    assert digest(any_) == digest(all_)


def test_yaml_and_json_come_back_to_the_same_digest() -> None:
    made = from_text(FULL)
    assert [list(one["then"]) for one in made["rules"]] == [["block"], ["consent"], ["allow"]]
    for text in (to_yaml(made), to_json(made)):
        again = from_text(text)
        assert again == made
        assert digest(again) == digest(made)
    assert normalise(made) == made


def test_what_other_readers_of_yaml_take_for_something_else_is_text() -> None:
    """`no` is not false, 18:00 not 1080, a date not a date, 1.50 not 1.5 and 007 not 7."""
    made = from_text(FULL)
    assert made["lists"]["no"] == ["007", "1.50", "18:00", "2026-12-25", "no"]
    assert made["rules"][1]["when"]["time"]["to"] == "18:00"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: []\nrules: []", "The key 'rules' stands twice in one mapping (line 2, column 1)."),
        ('{"rules": [], "rules": []}', "The key 'rules' stands twice in one mapping."),
        ('{"v": 1, "rules": [{"a": 1, "a": 1}]}', "The key 'a' stands twice in one mapping."),
        ("a: &b 1", "Anchors and tags are not read (line 1, column 4)."),
        ("a: *b", "Aliases are not read (line 1, column 4); write it out."),
        ("a: !!python/name:os.system x", "Anchors and tags are not read (line 1, column 4)."),
        ("a: !!float 1", "Anchors and tags are not read (line 1, column 4)."),
        ("1: 2", "A key must be text (line 1, column 1)."),
        ("? [a]\n: 1", "A key must be text (line 1, column 3)."),
        ("a: [", "This is no YAML: while parsing a flow node"),
        ("a: b\n c: d", "This is no YAML: mapping values are not allowed here (line 2, column 3)."),
        ("a: 1\n---\nb: 2", "This is no YAML: expected a single document"),
        ("a: \x00", "This is no YAML: it has a character that YAML does not allow."),
        ("a: " + "9" * 21, "The number 99999999999999999999... is too long."),
        ('{"a": ' + "9" * 5000 + "}", "The number 99999999999999999999... is too long."),
        ("[" * 30, "The policy is nested too deeply."),
        ('{"a":' * 20_000, "The policy is nested too deeply."),
        ("#" * (limits.MAX_POLICY_TEXT + 1), "The text is longer than 262144 bytes."),
        ("é" * (limits.MAX_POLICY_TEXT - 1), "The text is longer than 262144 bytes."),
        ("", "This must be a mapping, not nothing."),
        ("rules", "This must be a mapping, not text (rules)."),
        ("- a", "This must be a mapping, not a list."),
    ],
)
def test_a_text_that_is_none_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        from_text(text)
    assert caught.value.errors[0][0] == ""
    assert caught.value.errors[0][1].startswith(says)


def consent(**changed: Any) -> dict[str, Any]:
    return {"consent": {"group": "payments"} | changed}


CRITICAL = {"tier": "critical", "cooling_off_seconds": 1}
TWO = [{"group": "a", "count": 2}, {"group": "b", "count": 1}]


@pytest.mark.parametrize(
    ("then", "at", "says"),
    [
        ({}, "", "A rule has one outcome: consent, allow or block."),
        ({"allow": {}, "block": "x"}, "", "A rule has one outcome"),
        ("deny", "", "This must be a mapping, not text (deny)."),
        ({"block": ""}, "/block/reason", "This must not be empty."),
        ({"block": {}}, "/block/reason", "This is missing."),
        ({"block": "a\u202eb"}, "/block/reason", "The character U+202E is invisible"),
        ({"allow": {"sample_percent": 101}}, "/allow/sample_percent", "This must be from 0 to 100"),
        ({"allow": {"sample_percent": 1.5}}, "/allow/sample_percent", "not a number with a fract"),
        ({"consent": {}}, "/consent/thresholds", "This is missing."),
        ({"consent": {"thresholds": []}}, "/consent/thresholds", "This must have from 1 to 5"),
        (consent(count=0), "/consent/count", "This must be from 1 to 10."),
        (consent(count=True), "/consent/count", "This must be a whole number, not true or false"),
        (consent(count=11), "/consent/count", "This must be from 1 to 10."),
        (consent(role="reviewer"), "/consent", "A threshold names either a group or a role."),
        (consent(thresholds=TWO), "/consent/thresholds", "These stand beside a group"),
        ({"consent": {"thresholds": [*TWO, TWO[0]]}}, "/consent/thresholds", "Two thresholds are"),
        (consent(tier="high"), "/consent/tier", "This must be one of confirm, passkey, typed"),
        (consent(mode="most"), "/consent/mode", "This must be one of all, any."),
        (consent(quorum=2), "/consent/quorum", "This is not known here; known are tier, mode"),
        (consent(expires_after_seconds=0), "/consent/expires_after_seconds", "This must be from 1"),
        (
            consent(expires_after_seconds=60, remind_after_seconds=60),
            "/consent/remind_after_seconds",
            "The gate expires after 60 seconds already.",
        ),
        (
            consent(expires_after_seconds=60, dwell_seconds=60),
            "/consent/dwell_seconds",
            "The gate expires after 60 seconds already.",
        ),
        (
            consent(expires_after_seconds=9, escalation={"after_seconds": 9, "groups": ["b"]}),
            "/consent/escalation/after_seconds",
            "The gate expires after 9 seconds already.",
        ),
        (
            consent(escalation={"after_seconds": 9}),
            "/consent/escalation/groups",
            "This is missing.",
        ),
        (consent(**CRITICAL), "/consent/thresholds", "The tier critical needs at least two people"),
        (
            consent(tier="critical", count=2),
            "/consent/cooling_off_seconds",
            "The tier critical needs a cooling-off of 1 or more.",
        ),
        (
            {"consent": CRITICAL | {"thresholds": TWO, "mode": "any"}},
            "/consent/thresholds",
            "The tier critical needs at least two people in each threshold.",
        ),
    ],
)
def test_an_outcome_that_is_none_is_named_by_its_place(then: Any, at: str, says: str) -> None:
    found = errors({"rules": [{"name": "a", "then": then}]})
    assert found[f"/rules/0/then{at}"].startswith(says) or says in found[f"/rules/0/then{at}"]


def test_what_the_tier_critical_asks_for_suffices() -> None:
    for then in (
        consent(**CRITICAL, count=2),
        {"consent": CRITICAL | {"thresholds": TWO}},
        {"consent": CRITICAL | {"thresholds": [TWO[0]], "mode": "any"}},
    ):
        document(rule(then))


BAND = {"currency": "EUR", "above_minor": 5, "up_to_minor": 6}
SUM = {"by": "payee", "currency": "EUR", "window_seconds": DAY, "above_minor": 0}


@pytest.mark.parametrize(
    ("when", "at", "says"),
    [
        ({"tol": "pay"}, "/tol", "This is not known here; known are tools, workflows"),
        ({"tools": []}, "/tools", "This must name from 1 to 100; it names 0."),
        ({"tools": ["a", 1]}, "/tools/1", "This must be text, not a number (1)."),
        ({"tools": {"a": 1}}, "/tools", "This must be a list of texts, not a mapping."),
        ({"tools": ["x" * 129]}, "/tools/0", "This has 129 characters; at most 128 are kept."),
        ({"tool": "a", "tools": ["b"]}, "/tool", "This stands beside tools; write one of them."),
        ({"tool": 5}, "/tools/0", "This must be text, not a number (5)."),
        ({"amounts": []}, "/amounts", "This must have from 1 to 20 parts; it has 0."),
        ({"amount": {"above_minor": 1}}, "/amounts/0/currency", "This is missing."),
        ({"amount": BAND | {"currency": "EURO"}}, "/amounts/0/currency", "'EURO' is not an ISO"),
        ({"amount": BAND | {"currency": 978}}, "/amounts/0/currency", "This must be an ISO 4217"),
        (
            {"amount": BAND | {"above_minor": 6}},
            "/amounts/0/up_to_minor",
            "The band ends at 6, not",
        ),
        ({"amount": BAND | {"above_minor": -1}}, "/amounts/0/above_minor", "This must be from 0"),
        ({"amount": BAND | {"above_minor": "5"}}, "/amounts/0/above_minor", "not text (5)."),
        ({"amount": BAND | {"up_to_minor": 10**16}}, "/amounts/0/up_to_minor", "This must be from"),
        ({"sum": SUM | {"by": "planet"}}, "/sums/0/by", "This must be one of payee, run, agent"),
        ({"sum": SUM | {"window_seconds": 0}}, "/sums/0/window_seconds", "This must be from 1"),
        ({"sums": [SUM] * 6}, "/sums", "This must have from 1 to 5 parts; it has 6."),
        ({"payee": {}}, "/payee", "This must ask for something"),
        ({"payee": {"in": "nobody"}}, "/payee/in", "There is no list 'nobody' in this policy."),
        (
            {"payee": {"in": "known", "not_in": "known"}},
            "/payee/not_in",
            "No payee is both in 'known' and not in it.",
        ),
        ({"payee": {"first_seen": "yes"}}, "/payee/first_seen", "This must be true or false, not"),
        ({"free_text": 1}, "/free_text", "This must be true or false, not a number (1)."),
        ({"time": {"zone": "Mars/Olympus"}}, "/time/zone", "There is no time zone 'Mars/Olympus'"),
        ({"time": {"from": "8:00"}}, "/time/from", "This must be a time of day like 08:00"),
        ({"time": {"to": 1080}}, "/time/to", "This must be a time of day like 08:00, not a number"),
        ({"time": {"from": "18:00", "to": "08:00"}}, "/time/to", "08:00 is not after 18:00"),
        ({"time": {"days": ["monday"]}}, "/time/days", "'monday' is no day; write mon, tue"),
        ({"time": {"holidays": ["25.12."]}}, "/time/holidays", "'25.12.' is no date like"),
        ({"time": {"holidays": ["20261225"]}}, "/time/holidays", "'20261225' is no date like"),
    ],
)
def test_a_condition_that_is_none_is_named_by_its_place(
    when: dict[str, Any], at: str, says: str
) -> None:
    given = {"rules": [{"name": "a", "when": when, "then": BLOCK}], "lists": {"known": ["x"]}}
    assert says in errors(given)[f"/rules/0/when{at}"]


@pytest.mark.parametrize(
    ("given", "at", "says"),
    [
        ({}, "/rules", "This is missing."),
        ({"rules": {}, "v": 2}, "/v", "This must be from 1 to 1."),
        ({"rules": [], "rule": []}, "/rule", "This is not known here; known are v, rules, lists"),
        ({"rules": [{"then": "allow"}]}, "/rules/0/name", "This is missing."),
        ({"rules": [{"name": "a"}]}, "/rules/0/then", "This is missing: a rule says consent"),
        ({"rules": [rule("allow")] * 2}, "/rules/1/name", "Two rules are called 'the rule'."),
        ({"rules": [rule("allow")] * 101}, "/rules", "This must have from 0 to 100 parts"),
        ({"rules": [], "lists": []}, "/lists", "This must be a mapping, not a list."),
        ({"rules": [], "lists": {"a": []}}, "/lists/a", "This must name from 1 to 1000"),
        ({"rules": [], "lists": {"a/b": [1]}}, "/lists/a~1b/0", "This must be text, not a num"),
        ({"rules": [], "lists": {"a": ["x"], "a ": ["y"]}}, "/lists/a ", "Two lists are called"),
        (
            {"rules": [], "lists": {f"l{no}": ["x"] for no in range(51)}},
            "/lists",
            "A policy has at most 50 lists.",
        ),
        (
            {"rules": [], "freezes": [{"scope": "world", "denials": 1, "within_seconds": 1}]},
            "/freezes/0/scope",
            "This must be one of everything, tool, workflow, payee.",
        ),
        (
            {"rules": [], "freezes": [{"scope": "tool", "denials": 0, "within_seconds": 1}]},
            "/freezes/0/denials",
            "This must be from 1 to 1000.",
        ),
        (
            {
                "rules": [],
                "lists": {f"l{n}": [f"{n}-{m:0200}" for m in range(99)] for n in range(9)},
            },
            "",
            "bytes; at most 65536 are kept.",
        ),
    ],
)
def test_a_document_that_is_none_is_named_by_its_place(given: Any, at: str, says: str) -> None:
    assert says in errors(given)[at]


def test_all_faults_are_told_at_once_up_to_a_limit() -> None:
    two = errors({"rules": [{"name": "", "then": {"block": ""}}]})
    assert list(two) == ["/rules/0/name", "/rules/0/then/block/reason"]
    with pytest.raises(InvalidPolicy) as caught:
        normalise({"rules": [{}] * 90})
    assert len(caught.value.errors) == limits.MAX_POLICY_FAULTS
    assert caught.value.message.startswith("/rules/0/name: This is missing. /rules/0/then: ")


def test_sums_that_say_the_same_have_one_normal_form() -> None:
    """All must hold: their order means nothing, nor does saying one twice."""

    def said(*above: int) -> Any:
        sums = [
            {"by": "payee", "currency": "EUR", "window_seconds": 60, "above_minor": one}
            for one in above
        ]
        rule = {"name": "r", "when": {"sums": sums}, "then": {"block": "No."}}
        return normalise({"v": 1, "rules": [rule]})

    assert said(1, 0) == said(0, 1) == said(0, 1, 0)
    assert said(0, 1) != said(0, 2)

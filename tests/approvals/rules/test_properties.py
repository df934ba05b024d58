"""What holds for all policies: nothing malformed passes, nothing stricter lets more through."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.rules.document import InvalidPolicy, digest, from_text, normalise, to_json, to_yaml
from approvals.rules.evaluate import Outcome, evaluate, needed
from approvals.rules.facts import Circumstances, Request, Summed
from approvals.rules.outcomes import TIERS
from approvals.rules.short import shortly
from approvals.rules.telling import diff
from tests.approvals.rules.asking import ACCOUNT, OTHER_ACCOUNT, calling, paying

BRIEFLY = settings(max_examples=100, deadline=None, database=None)
THOROUGHLY = settings(BRIEFLY, max_examples=400)
START = datetime(2026, 11, 21, tzinfo=UTC)

# Few values, so that rules and requests meet.
TOOLS = st.sampled_from(["pay", "refund"])
CURRENCIES = st.sampled_from(["EUR", "USD"])
SMALL = st.integers(0, 6)
BY = ("payee", "run", "agent", "workflow", "tenant")
ALL_SUMS = [(by, currency, 60) for by in BY for currency in ("EUR", "USD")]

bands = st.builds(
    lambda currency, above, width: {
        "currency": currency,
        "above_minor": above,
        "up_to_minor": above + width,
    },
    CURRENCIES,
    SMALL,
    st.integers(1, 6),
)
sums = st.builds(
    lambda by, currency, above: {
        "by": by,
        "currency": currency,
        "window_seconds": 60,
        "above_minor": above,
    },
    st.sampled_from(BY),
    CURRENCIES,
    st.integers(0, 12),
)
payees = st.fixed_dictionaries(
    {},
    optional={
        "first_seen": st.booleans(),
        "account_changed": st.booleans(),
        "in": st.just(["one"]),
        "not_in": st.just(["two"]),
    },
).filter(bool)
times = st.fixed_dictionaries({"within": st.booleans()}, optional={"to": st.just("12:00")})
whens = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.lists(TOOLS, min_size=1),
        "agents": st.just(["clerk"]),
        "requesters": st.just(["alice"]),
        "amounts": st.lists(bands, min_size=1, max_size=2),
        "sums": st.lists(sums, min_size=1, max_size=2),
        "payee": payees,
        "free_text": st.booleans(),
        "changed": st.lists(st.sampled_from(["iban", "note"]), min_size=1),
        "time": times,
    },
)
consents = st.builds(
    lambda tier, counts, mode: {
        "consent": {
            "tier": TIERS[tier],
            "mode": mode,
            "cooling_off_seconds": 60 if tier == 3 else 0,
            "thresholds": [
                {"name": f"t{no}", "group": f"g{no}", "count": count + (tier == 3)}
                for no, count in enumerate(counts)
            ],
        }
    },
    st.integers(0, 3),
    st.lists(st.integers(1, 3), min_size=1, max_size=2),
    st.sampled_from(["all", "any"]),
)
allows = st.builds(lambda percent: {"allow": {"sample_percent": percent}}, st.integers(0, 100))
blocks = st.just({"block": {"reason": "No."}})


def documents(thens: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    rules = st.lists(st.tuples(whens, thens), max_size=4)
    return rules.map(lambda given: made(*given))


def made(*given: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    rules = [
        {"name": f"rule {no}", "when": when, "then": then} for no, (when, then) in enumerate(given)
    ]
    lists = {"one": [ACCOUNT], "two": [OTHER_ACCOUNT.lower()]}
    return normalise({"v": 1, "rules": rules, "lists": lists, "freezes": []})


def _request(is_money: bool, amount_minor: int, **changed: Any) -> Request:
    if not is_money:
        for name in ("currency", "payee", "payee_name"):
            del changed[name]
        return calling(**changed)
    return paying(amount_minor, **changed)


requests = st.builds(
    _request,
    is_money=st.sampled_from([True, True, True, False]),
    amount_minor=st.integers(1, 12),
    currency=CURRENCIES,
    payee=st.sampled_from([ACCOUNT, OTHER_ACCOUNT, "elsewhere"]),
    payee_name=st.sampled_from(["ACME", ""]),
    tool=TOOLS,
    agent=st.sampled_from(["clerk", "boss", ""]),
    requester=st.sampled_from(["alice", "bob"]),
    arguments=st.sampled_from([{}, {"iban": "x"}, {"iban": "x", "note": "y"}]),
    free_text=st.sampled_from([(), ("note",)]),
    at=st.integers(0, 96).map(lambda hours: START + timedelta(hours=hours)),
)
maybe = st.sampled_from([True, False, None])
circumstances = st.builds(
    Circumstances,
    sums=st.dictionaries(
        st.sampled_from(ALL_SUMS),
        st.builds(Summed, amount_minor=st.integers(0, 12), is_at_least=st.booleans()),
    ),
    first_seen=maybe,
    account_changed=maybe,
    compared_with=st.sampled_from([None, "", "g1"]),
    changed=st.dictionaries(st.sampled_from(["iban", "note"]), st.booleans()),
)


def strictness(outcome: Outcome) -> tuple[int, int, int]:
    """What is let through, how strongly, and by how many: the larger, the less passes."""
    if outcome.kind == "allow":
        return (0, 0, 0)
    if outcome.kind != "consent":
        return (2, 0, 0)
    assert outcome.then is not None
    return (1, *demand(outcome.then["consent"]))


def demand(consent: dict[str, Any]) -> tuple[int, int]:
    counts = [one["count"] for one in consent["thresholds"]]
    return TIERS.index(consent["tier"]), sum(counts) if consent["mode"] == "all" else min(counts)


@THOROUGHLY
@given(documents(st.one_of(allows, consents, blocks)), whens, requests, circumstances)
def test_a_block_on_top_never_lets_more_through(
    base: dict[str, Any], when: dict[str, Any], request: Request, known: Circumstances
) -> None:
    below = [(one["when"], one["then"]) for one in base["rules"]]
    stricter = made((when, {"block": {"reason": "No."}}), *below)
    before, after = evaluate(base, request, known), evaluate(stricter, request, known)
    assert strictness(after) >= strictness(before)
    if after.rule != 0:
        assert (after.kind, after.then) == (before.kind, before.then)


@THOROUGHLY
@given(documents(st.one_of(allows, consents)), whens, requests, circumstances)
def test_a_consent_on_top_that_asks_for_more_never_lets_more_through(
    base: dict[str, Any], when: dict[str, Any], request: Request, known: Circumstances
) -> None:
    """It asks for the strongest tier, and more people than any rule below it does. Below stands
    a rule for everything else: a consent on top of what nobody covers does let it through."""
    below = [(one["when"], one["then"]) for one in base["rules"]]
    below.append(({}, {"allow": {"sample_percent": 0}}))
    most = {"tier": "critical", "cooling_off_seconds": 60, "group": "all", "count": 10}
    stricter = made((when, {"consent": most}), *below)
    before, after = evaluate(made(*below), request, known), evaluate(stricter, request, known)
    if before.kind != "held":
        assert strictness(after) >= strictness(before)
    if after.rule != 0:
        assert (after.kind, after.then) == (before.kind, before.then)


@THOROUGHLY
@given(documents(st.one_of(allows, consents, blocks)), requests, circumstances)
def test_knowing_less_never_lets_more_through(
    base: dict[str, Any], request: Request, known: Circumstances
) -> None:
    before, after = evaluate(base, request, known), evaluate(base, request, Circumstances())
    assert strictness(after) >= strictness(before)


@BRIEFLY
@given(documents(st.one_of(allows, consents, blocks)), requests, circumstances)
def test_what_is_not_needed_does_not_matter(
    base: dict[str, Any], request: Request, known: Circumstances
) -> None:
    needs = needed(base, request)
    looked_up = Circumstances(
        sums={one: known.sums[one] for one in needs.sums if one in known.sums},
        first_seen=known.first_seen if needs.payee else None,
        account_changed=known.account_changed if needs.payee else None,
        compared_with=known.compared_with if needs.changed else None,
        changed=known.changed if needs.changed else {},
    )
    assert evaluate(base, request, looked_up) == evaluate(base, request, known)


@BRIEFLY
@given(documents(st.one_of(allows, consents, blocks)), requests, circumstances)
def test_a_stranger_comes_to_the_same_answer_from_the_envelope(
    base: dict[str, Any], request: Request, known: Circumstances
) -> None:
    read = Circumstances.from_json(json.loads(json.dumps(known.as_json())))
    again = evaluate(json.loads(json.dumps(base)), request, read)
    assert again == evaluate(base, request, known)
    json.dumps(again.as_json())


@BRIEFLY
@given(documents(st.one_of(allows, consents, blocks)))
def test_every_policy_comes_back_from_its_texts(base: dict[str, Any]) -> None:
    assert normalise(base) == base
    for text in (to_yaml(base), to_json(base)):
        assert digest(from_text(text)) == digest(base)


@THOROUGHLY
@given(documents(st.one_of(allows, consents, blocks)))
def test_every_policy_can_be_said_shortly(base: dict[str, Any]) -> None:
    said = shortly(base)
    assert "v" not in said, "It came back as it was, because the short one says something else."
    assert normalise(said) == base
    assert digest(from_text(to_yaml(said))) == digest(base)
    assert len(to_yaml(said)) < len(to_yaml(base))


@THOROUGHLY
@given(
    st.tuples(whens, st.one_of(allows, consents, blocks)),
    st.tuples(whens, st.one_of(allows, consents, blocks)),
)
def test_rules_that_differ_are_told_in_words_that_differ(
    one: tuple[dict[str, Any], Any], other: tuple[dict[str, Any], Any]
) -> None:
    """In all of it, and in each half: nothing that is changed hides behind what is told."""
    for pair in ((one, other), ((one[0], other[1]), other), ((other[0], one[1]), other)):
        old, new = (made(rule) for rule in pair)
        found = diff(old, new)
        assert bool(found) == (old != new)
        assert all(set(change.gone) ^ set(change.come) for change in found)


names = st.text(min_size=1, max_size=20)


@BRIEFLY
@given(st.lists(names, min_size=1, max_size=4), names)
def test_every_name_that_is_taken_comes_back_from_yaml(entries: list[str], name: str) -> None:
    """Texts with quotes, colons, digits and marks of YAML, beyond ASCII as well."""
    data = {"rules": [{"name": name, "then": "allow"}], "lists": {name: entries}}
    try:
        base = normalise(data)
    except InvalidPolicy:
        return
    assert from_text(to_yaml(base)) == base
    assert from_text(to_json(base)) == base


# Malformed documents: never anything but InvalidPolicy

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.dates(),
)
values = st.recursive(
    leaves,
    lambda below: st.one_of(
        st.lists(below, max_size=3), st.dictionaries(st.one_of(st.text(max_size=8), leaves), below)
    ),
    max_leaves=12,
)


@BRIEFLY
@given(values)
def test_nothing_malformed_is_taken_for_a_policy(value: Any) -> None:
    refused_or_normal(value)


@BRIEFLY
@given(documents(st.one_of(allows, consents, blocks)), st.data())
def test_a_policy_with_any_part_replaced_is_a_policy_or_refused(
    base: dict[str, Any], data: st.DataObject
) -> None:
    part: Any = base
    for _ in range(data.draw(st.integers(0, 8))):
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(part[key], dict | list) or data.draw(st.booleans()):
            part[key] = data.draw(values)
            break
        part = part[key]
    refused_or_normal(base)


@BRIEFLY
@given(st.one_of(st.text(), st.text(alphabet="{}[]:,-&*!|>'\"%@?#~ \n\tar1")))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    try:
        made = from_text(text)
    except InvalidPolicy as error:
        assert error.errors
    else:
        assert normalise(made) == made


@BRIEFLY
@given(documents(st.one_of(allows, consents, blocks)), st.integers(0, 2000), st.text(max_size=3))
def test_a_text_with_a_slip_of_the_pen_is_read_or_refused(
    base: dict[str, Any], place: int, slip: str
) -> None:
    text = to_yaml(base)
    place %= len(text)
    try:
        from_text(text[:place] + slip + text[place + 1 :])
    except InvalidPolicy as error:
        assert error.errors


def refused_or_normal(value: Any) -> None:
    try:
        made = normalise(value)
    except InvalidPolicy as error:
        assert error.errors
        assert all(isinstance(at, str) and said.endswith(".") for at, said in error.errors)
    else:
        assert normalise(made) == made


def test_the_texts_are_what_others_read_as_well() -> None:
    """What is written as YAML means the same to a reader that knows the plain YAML."""
    base = made(({"tools": ["no", "12", "0x1f", "1.5", "null"]}, {"block": {"reason": "18:00"}}))
    assert yaml.safe_load(to_yaml(base)) == base

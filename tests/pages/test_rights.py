"""Every address x every role x the expected answer; and reading never writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from approvals.models import Batch, Channel, Gate, SecondLook
from runs.models import Schedule, Step
from tests.harness import World
from tests.pages import visitors

EVERYBODY = frozenset({"operator", "reviewer", "auditor", "admin"})
OPEN = EVERYBODY | {"nobody"}
ROLES = {"alice": "operator", "bob": "reviewer", "dave": "auditor", "erin": "admin"}


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Who may, and what they are answered; others get 403, and nobody goes to sign in."""

    may: frozenset[str]
    answer: int = 200
    arguments: str = ""
    query: str = ""
    form: dict[str, str] = field(default_factory=dict)


ADMIN, OPERATOR = frozenset({"admin"}), frozenset({"operator"})
FREEZERS, BREAKERS = EVERYBODY - {"auditor"}, frozenset({"reviewer", "admin"})
LOOKERS = frozenset({"reviewer", "auditor"})
CONFIRMED = {"confirmed": "yes"}
TABLE: dict[tuple[str, str], Expected] = {
    ("home", "GET"): Expected(may=EVERYBODY),
    ("inbox", "GET"): Expected(may=EVERYBODY),
    ("batch-decide", "POST"): Expected(may=frozenset({"reviewer"}), answer=302),
    ("batch", "GET"): Expected(may=EVERYBODY, arguments="batch"),
    ("gate", "GET"): Expected(may=EVERYBODY, arguments="gate"),
    ("gate-decide", "POST"): Expected(may=frozenset({"reviewer"}), arguments="gate", answer=422),
    ("gate-look", "POST"): Expected(may=frozenset({"reviewer"}), arguments="gate", answer=204),
    ("gate-take-back", "POST"): Expected(may=frozenset({"reviewer"}), arguments="gate", answer=302),
    ("gate-comment", "POST"): Expected(
        may=EVERYBODY - {"auditor"}, arguments="gate", answer=422, form={"text": " "}
    ),
    ("runs", "GET"): Expected(may=EVERYBODY),
    ("run", "GET"): Expected(may=EVERYBODY, arguments="run"),
    ("run-start", "GET"): Expected(may=OPERATOR),
    ("run-start", "POST"): Expected(may=OPERATOR),
    ("run-steer", "GET"): Expected(may=OPERATOR, arguments="steered"),
    ("run-steer", "POST"): Expected(may=OPERATOR, arguments="steered"),
    ("run-fork", "GET"): Expected(may=OPERATOR, arguments="run", query="?at=0"),
    ("run-fork", "POST"): Expected(may=OPERATOR, arguments="run", answer=422, form={"at": "0"}),
    ("run-signal", "GET"): Expected(may=OPERATOR, arguments="run"),
    ("run-signal", "POST"): Expected(
        may=OPERATOR, arguments="run", answer=422, form={"name": "x" * 101}
    ),
    ("runs-bulk", "GET"): Expected(may=OPERATOR),
    ("runs-bulk", "POST"): Expected(may=OPERATOR),
    ("questions", "GET"): Expected(may=EVERYBODY),
    ("question", "GET"): Expected(may=EVERYBODY, arguments="question"),
    ("question", "POST"): Expected(
        may=frozenset({"operator", "reviewer"}),
        arguments="question",
        answer=422,
        form={"input.word": "x"},
    ),
    ("schedules", "GET"): Expected(may=EVERYBODY),
    ("schedule", "GET"): Expected(may=EVERYBODY, arguments="schedule"),
    ("schedule-new", "GET"): Expected(may=OPERATOR),
    ("schedule-new", "POST"): Expected(may=OPERATOR),
    ("schedule-edit", "GET"): Expected(may=OPERATOR, arguments="schedule"),
    ("schedule-edit", "POST"): Expected(
        may=OPERATOR, arguments="schedule", answer=422, form={"name": "x"}
    ),
    ("schedule-turn", "GET"): Expected(may=OPERATOR, arguments="turned"),
    ("schedule-turn", "POST"): Expected(may=OPERATOR, arguments="turned"),
    ("schedule-backfill", "GET"): Expected(may=OPERATOR, arguments="schedule"),
    ("schedule-backfill", "POST"): Expected(
        may=OPERATOR, arguments="schedule", answer=422, form={"since": "x"}
    ),
    ("step-settle", "GET"): Expected(may=EVERYBODY, arguments="step"),
    ("step-settle", "POST"): Expected(may=OPERATOR, arguments="step", answer=409),
    ("keys", "GET"): Expected(may=EVERYBODY),
    ("key-enrol", "POST"): Expected(may=EVERYBODY, answer=422, form={"kind": "file"}),
    ("key-revoke", "POST"): Expected(may=EVERYBODY, answer=404, form={"key": visitors.ABSENT}),
    ("key-vouch", "GET"): Expected(may=ADMIN, arguments="key"),
    ("key-vouch", "POST"): Expected(may=ADMIN, arguments="key", answer=422, form=CONFIRMED),
    ("freezes", "GET"): Expected(may=EVERYBODY),
    ("freeze-new", "GET"): Expected(may=FREEZERS),
    ("freeze-new", "POST"): Expected(may=FREEZERS, answer=422, form=CONFIRMED),
    ("freeze-thaw", "GET"): Expected(may=FREEZERS, arguments="freeze"),
    ("freeze-thaw", "POST"): Expected(may=FREEZERS, arguments="freeze", answer=422, form=CONFIRMED),
    ("policies", "GET"): Expected(may=EVERYBODY),
    ("policy", "GET"): Expected(may=EVERYBODY, arguments="version"),
    ("policy-draft", "GET"): Expected(may=ADMIN),
    ("policy-draft", "POST"): Expected(may=ADMIN, answer=422, form={"text": "rules: 1"}),
    ("changes", "GET"): Expected(may=EVERYBODY),
    ("change", "GET"): Expected(may=EVERYBODY, arguments="change"),
    ("change-say", "POST"): Expected(may=ADMIN, arguments="change", answer=422, form=CONFIRMED),
    ("groups", "GET"): Expected(may=EVERYBODY),
    ("group-propose", "GET"): Expected(may=ADMIN),
    ("group-propose", "POST"): Expected(may=ADMIN, answer=422, form=CONFIRMED),
    ("breakglass", "GET"): Expected(may=EVERYBODY),
    ("breakglass-open", "GET"): Expected(may=BREAKERS),
    ("breakglass-open", "POST"): Expected(may=BREAKERS, answer=422, form=CONFIRMED),
    ("breakglass-confirm", "GET"): Expected(may=BREAKERS, arguments="glass"),
    ("breakglass-confirm", "POST"): Expected(may=BREAKERS, arguments="glass"),
    ("breakglass-review", "GET"): Expected(may=BREAKERS | {"auditor"}, arguments="glass"),
    ("breakglass-review", "POST"): Expected(
        may=BREAKERS | {"auditor"}, arguments="glass", answer=422, form=CONFIRMED
    ),
    ("delegations", "GET"): Expected(may=frozenset({"reviewer"})),
    ("delegation-new", "GET"): Expected(may=frozenset({"reviewer"})),
    ("delegation-new", "POST"): Expected(may=frozenset({"reviewer"}), answer=422, form=CONFIRMED),
    ("delegation-revoke", "GET"): Expected(may=frozenset({"reviewer"}), arguments="delegation"),
    ("delegation-revoke", "POST"): Expected(may=frozenset({"reviewer"}), arguments="delegation"),
    ("pace", "GET"): Expected(may=frozenset({"reviewer"})),
    ("pace", "POST"): Expected(may=frozenset({"reviewer"}), answer=409),
    ("second-looks", "GET"): Expected(may=LOOKERS),
    ("second-look", "GET"): Expected(may=LOOKERS, arguments="look"),
    ("second-look", "POST"): Expected(may=LOOKERS, arguments="look", answer=422),
    ("reviewers", "GET"): Expected(may=LOOKERS | {"admin"}),
    ("notices", "GET"): Expected(may=EVERYBODY),
    ("notices-mute", "POST"): Expected(may=EVERYBODY, answer=302),
    ("channels", "GET"): Expected(may=ADMIN),
    ("channel-add", "POST"): Expected(may=ADMIN, answer=422),
    ("channel-kinds", "POST"): Expected(may=ADMIN, arguments="channel", answer=302),
    ("channel-turn", "POST"): Expected(may=ADMIN, arguments="removed", answer=200),
    ("secrets", "GET"): Expected(may=ADMIN),
    ("secret-write", "GET"): Expected(may=ADMIN),
    ("secret-write", "POST"): Expected(may=ADMIN, answer=422, form={"path": "bank/none"}),
    ("scope-grant", "POST"): Expected(may=ADMIN, answer=404, form={"path": "bank/none"}),
    ("scope-revoke", "POST"): Expected(may=ADMIN, answer=404, form={"scope": visitors.ABSENT}),
    ("audit", "GET"): Expected(may=frozenset({"auditor", "admin"})),
    ("patterns", "GET"): Expected(may=EVERYBODY),
    ("theme", "POST"): Expected(may=OPEN, answer=302, form={"theme": "dark"}),
    ("account_inactive", "GET"): Expected(may=OPEN),
    ("healthz", "GET"): Expected(may=OPEN),
    ("readyz", "GET"): Expected(may=OPEN),
}
# These two answer by whether somebody is signed in, not by role: see `test_sign_in`.
BY_SESSION = {"account_login", "account_logout"}


def address(name: str, gate: Gate) -> str:
    wanted = next(e for (known, _), e in TABLE.items() if known == name)
    if wanted.arguments == "question":
        step = Step.objects.get(tenant=gate.tenant, kind="ask")
        return reverse(name, args=[step.run_id, step.position])
    ids: dict[str, list[Any]] = {"gate": [gate.id], "run": [gate.run_id], "": []}
    ids["batch"] = list(Batch.objects.filter(gates=[gate.id]).values_list("pk", flat=True))
    ids["version"] = [gate.policy.number]
    ids["step"] = [gate.run_id, gate.step.position]
    ids["look"] = list(SecondLook.objects.filter(gate=gate).values_list("pk", flat=True))
    ids["steered"] = [gate.run_id, "cancel"]
    if wanted.arguments in ("schedule", "turned"):
        schedule = Schedule.objects.get(tenant=gate.tenant)
        ids |= {"schedule": [schedule.id], "turned": [schedule.id, "pause"]}
    if wanted.arguments in SAFEGUARDS:
        ids |= visitors.safeguards_of(gate.tenant)
    if wanted.arguments in ("channel", "removed"):
        channel = Channel.objects.get(tenant=gate.tenant)
        ids |= {"channel": [channel.id], "removed": [channel.id, "remove"]}
    return reverse(name, args=ids[wanted.arguments]) + wanted.query


SAFEGUARDS = ("change", "freeze", "glass", "delegation", "key")
MORE: dict[str, list[Any]] = {
    "step-settle": [0],
    "question": [0],
    "run-steer": ["cancel"],
    "schedule-turn": ["pause"],
}
OF_ONE = [
    *("gate", "run", "step-settle", "run-steer", "run-fork", "run-signal", "question"),
    *("schedule", "schedule-edit", "schedule-turn", "schedule-backfill"),
    *("change", "freeze-thaw", "breakglass-confirm", "breakglass-review", "delegation-revoke"),
    *("second-look", "batch", "key-vouch"),
]


def absent_address(name: str) -> str:
    query = next(e.query for (known, _), e in TABLE.items() if known == name)
    return reverse(name, args=[visitors.ABSENT, *MORE.get(name, [])]) + query


@pytest.fixture
def gate(world: World, gate: Gate) -> Gate:
    """The gate, and beside it a question, a schedule, safeguards and a channel."""
    visitors.make_question(world)
    visitors.make_schedule(world)
    visitors.make_safeguards(world)
    visitors.make_channel(world)
    visitors.make_look(gate)
    visitors.make_batch(world, gate)
    return gate


def ask(visitor: visitors.Visitor, name: str, method: str, gate: Gate) -> Any:
    path = address(name, gate)
    if method == "GET":
        return visitor.get(path)
    return visitor.post(path, **TABLE[name, method].form)


@pytest.mark.parametrize("username", ROLES)
def test_each_role_gets_the_pages_of_its_rights(world: World, gate: Gate, username: str) -> None:
    visitor = visitors.visit_as(getattr(world, username))
    before = visitors.written()

    for row, expected in TABLE.items():
        answer = ask(visitor, *row, gate)

        is_allowed = ROLES[username] in expected.may
        assert answer.status_code == (expected.answer if is_allowed else 403), row
        assert is_allowed or "Not for your roles" in answer.content.decode(), row
        assert visitors.written() == before, row


def test_nobody_is_sent_to_sign_in(world: World, gate: Gate) -> None:
    for row, expected in TABLE.items():
        answer = ask(visitors.nobody(), *row, gate)

        if "nobody" in expected.may:
            assert answer.status_code == expected.answer, row
        else:
            assert answer.status_code == 302, row
            assert answer.headers["Location"].startswith("/accounts/login/?next=/"), row


def test_somebody_without_a_role_sees_nothing_of_others(world: World, gate: Gate) -> None:
    visitor = visitors.visit_as(visitors.make_person("newcomer", tenant=world.tenant))

    for row, expected in TABLE.items():
        answer = ask(visitor, *row, gate)
        if row == ("home", "GET"):
            assert "no role" in answer.content.decode()
        else:
            is_open = "nobody" in expected.may
            assert answer.status_code == (expected.answer if is_open else 403), row
        assert "98.70" not in answer.content.decode(), row


@pytest.mark.parametrize("name", OF_ONE)
def test_what_another_tenant_has_looks_like_nothing(world: World, gate: Gate, name: str) -> None:
    stranger = visitors.make_person("olivia", *EVERYBODY, tenant="elsewhere")

    theirs = visitors.visit_as(stranger).get(address(name, gate))
    absent = visitors.visit_as(stranger).get(absent_address(name))

    assert theirs.status_code == absent.status_code == 404
    assert visitors.Page(theirs).text == visitors.Page(absent).text


def test_every_address_is_in_the_table() -> None:
    def names(patterns: list[Any]) -> Iterator[str]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver) and not pattern.namespace:
                yield from names(pattern.url_patterns)
            elif isinstance(pattern, URLPattern):
                yield pattern.name or ""

    assert set(names(get_resolver().url_patterns)) == {name for name, _ in TABLE} | BY_SESSION


def test_reading_never_writes(world: World, gate: Gate) -> None:
    visitor = visitors.visit_as(visitors.make_person("everything", *EVERYBODY, tenant=world.tenant))
    before = visitors.written()

    for name in {name for name, _ in TABLE}:
        answer = visitor.get(address(name, gate))
        if (name, "GET") in TABLE:
            assert answer.status_code == 200, name
        else:
            # Only forms are taken here; who loads the address again is led to the page.
            assert answer.status_code == (405 if name == "theme" else 302), name

    assert visitors.written() == before

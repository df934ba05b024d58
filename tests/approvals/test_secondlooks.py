"""Second looks: drawn by the digest, taken once, by somebody who had no part in it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from approvals import policies, secondlooks
from approvals.errors import LookRefused
from approvals.models import Gate, SecondLook, Viewing
from approvals.seals import seal, words
from console.celery import sweeps_of
from runs.models import new_id
from tests.approvals.attacks import parked, refusal
from tests.approvals.test_pace import approve
from tests.harness import World, as_role


def allow(world: World, percent: int) -> None:
    """Up to 10,000 euro are paid without anybody, of which so many of a hundred are drawn."""
    with as_role("placet_owner"):
        policies.remove_rule(world.tenant, "Payments up to 10,000 euro")
        policies.add_rule(
            world.tenant,
            {
                "name": "Small",
                "when": {"tools": ["pay"]},
                "then": {"allow": {"sample_percent": percent}},
            },
        )


def draw() -> int:
    """What the gatekeeper would draw now."""
    with as_role("placet_gatekeeper"):
        return secondlooks.Draws().sweep()


@pytest.fixture
def every_lot() -> Any:
    """As if `FAST_PERCENT` was a hundred, in the function that the database has."""
    from approvals import limits
    from approvals.locks.secondlooks import LOOK
    from runs.guards import functions

    def put(percent: int) -> None:
        changed = LOOK.replace(f"lot < {limits.FAST_PERCENT} AND", f"lot < {percent} AND")
        assert percent == limits.FAST_PERCENT or changed != LOOK
        with as_role("placet_owner"), connection.cursor() as owner:
            owner.execute(functions(changed))

    put(100)
    yield
    put(limits.FAST_PERCENT)


def approved(world: World, *, seen_seconds: float | None = None) -> Gate:
    """A gate that Bob approved so long after he first looked at it, cleared."""
    gate = parked(world)
    if seen_seconds is not None:
        Viewing.objects.create(tenant=world.tenant, gate=gate, person=world.bob)
        with as_role("postgres"), connection.cursor() as superuser:
            superuser.execute("SET session_replication_role = replica")
            superuser.execute(
                "UPDATE approvals_viewing SET since = clock_timestamp() - %s * interval '1 second'",
                [seen_seconds],
            )
            superuser.execute("RESET session_replication_role")
    approve(world, gate)
    world.settle()
    return gate


def drawn(world: World) -> SecondLook:
    approved(world)
    assert draw() == 1
    return SecondLook.objects.get()


def take(world: World, look: SecondLook, person: Any, verdict: str, note: str = "") -> SecondLook:
    with as_role("placet_web"):
        return secondlooks.say(
            look_id=look.pk, tenant=world.tenant, person=person, verdict=verdict, note=note
        )


@pytest.mark.parametrize(("percent", "count"), [(100, 4), (0, 0)])
def test_what_a_policy_allows_is_drawn_as_often_as_it_says(
    world: World, percent: int, count: int
) -> None:
    allow(world, percent)
    world.park_at_gates(50, 50, 50, 50)
    assert Gate.objects.filter(status="approved").count() == 4
    assert draw() == count
    assert list(SecondLook.objects.values_list("why", flat=True)) == ["sampled"] * count
    assert draw() == 0


def test_the_lot_is_of_the_digest_and_falls_about_as_often_as_asked(world: World) -> None:
    allow(world, 30)
    world.park_at_gates(*[50] * 3)
    gate = Gate.objects.first()
    assert gate is not None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(approvals_drawn(g2)) FROM approvals_gate g,"
            " generate_series(1, 2000) n, LATERAL (SELECT"
            " (jsonb_populate_record(g, jsonb_build_object('digest',"
            " '\\x' || encode(sha256(n::text::bytea), 'hex')))).*) g2 WHERE g.id = %s",
            [gate.id],
        )
        (count,) = cursor.fetchone() or (0,)
    assert 500 < count < 700


@pytest.mark.parametrize(("seen_seconds", "why"), [(None, "fast"), (2.0, "fast"), (6.0, None)])
def test_an_approval_without_a_look_or_a_short_one_is_a_fast_one(
    world: World, every_lot: None, seen_seconds: float | None, why: str | None
) -> None:
    approved(world, seen_seconds=seen_seconds)
    assert draw() == (1 if why else 0)
    assert list(SecondLook.objects.values_list("why", flat=True)) == ([why] if why else [])


def test_what_was_denied_is_not_drawn(world: World, every_lot: None) -> None:
    gate = parked(world)
    world.decide(gate, world.bob, "deny")
    world.settle()
    assert draw() == 0


def test_somebody_else_says_once_what_they_found(world: World, every_lot: None) -> None:
    look = drawn(world)
    for person in (world.alice, world.bob):
        with pytest.raises(LookRefused, match=r"somebody else looks|A reviewer or an auditor"):
            take(world, look, person, "right")
    with pytest.raises(LookRefused, match="Say what was wrong"):
        take(world, look, world.dave, "wrong", " ")
    found = take(world, look, world.dave, "wrong", "The invoice is a copy.")
    assert (found.verdict, found.note, found.writer) == (
        "wrong", "The invoice is a copy.", "placet_web",
    )  # fmt: skip
    with pytest.raises(LookRefused, match="Somebody has looked already"):
        take(world, look, world.carol, "right")


def test_another_account_of_who_decided_takes_no_second_look(world: World, every_lot: None) -> None:
    world.bob.email = world.carol.email = "bob@example.org"
    world.bob.save()
    world.carol.save()
    look = drawn(world)
    with pytest.raises(LookRefused, match="You requested this or decided about it"):
        take(world, look, world.carol, "right")


UPDATE = (
    "UPDATE approvals_secondlook SET looked_by_id = %s, verdict = %s, note = %s, seal = %s,"
    " looked_at = now() WHERE id = %s"
)


def test_sql_of_web_alone_finds_nothing_in_anybodys_name(world: World, every_lot: None) -> None:
    look = drawn(world)
    digest = bytes(look.gate.digest)

    def sealed(person: Any, verdict: str, note: str = "") -> Any:
        told = (look.pk, person.pk, verdict, words(note))
        made = seal("placet/secondlook/v1", *told, digest=digest)
        return [person.pk, verdict, note, made, look.pk]

    real = sealed(world.dave, "right")
    for said, attack in (
        ("seal: nobody who was signed in", [*real[:3], b"\0" * 32, look.pk]),
        ("seal: nobody who was signed in", [real[0], "wrong", "x", *real[3:]]),
        ("seal: nobody who was signed in", [world.carol.pk, *real[1:]]),
        ("note: say what was wrong", sealed(world.dave, "wrong")),
        ("verdict: it was right, or it was wrong", sealed(world.dave, "")),
        ("role: a reviewer or an auditor", sealed(world.erin, "right")),
        ("human: somebody looks who neither", sealed(world.bob, "right")),
    ):
        assert f"second look {said}" in refusal(world, "placet_web", (UPDATE, attack))
    with as_role("placet_web"), connection.cursor() as web:
        web.execute(UPDATE, real)
    assert "second look once: what was found" in refusal(
        world, "placet_web", (UPDATE, sealed(world.carol, "right"))
    )
    for role in ("placet_worker", "placet_executor", "placet_gatekeeper"):
        assert "permission denied" in refusal(world, role, (UPDATE, real))
    assert "append-only" in refusal(world, "placet_owner", ("DELETE FROM approvals_secondlook", []))


def test_nobody_draws_what_the_lot_did_not_fall_on(world: World) -> None:
    allow(world, 0)
    world.park_at_gates(50)
    gate = Gate.objects.get()
    insert = (
        "INSERT INTO approvals_secondlook"
        " (id, tenant, gate_id, why, verdict, note, drawn_at, writer)"
        " VALUES (%s, %s, %s, 'sampled', '', '', now(), '')",
        [new_id(), world.tenant, gate.id],
    )
    assert "second look draw: the lot of this gate" in refusal(world, "placet_gatekeeper", insert)
    for role in ("placet_web", "placet_worker", "placet_executor"):
        assert "permission denied" in refusal(world, role, insert)


def test_the_gatekeeper_draws_by_itself(world: World, every_lot: None) -> None:
    approved(world)
    _, sweeps = sweeps_of("gatekeeper")
    with as_role("placet_gatekeeper"):
        for sweep in sweeps:
            sweep()
    assert SecondLook.objects.get().why == "fast"

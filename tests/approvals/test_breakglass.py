"""The broken glass: two humans, an hour, a review; never fewer voices, never a requester."""

from __future__ import annotations

import pytest

from approvals import breakglass, limits
from approvals.errors import BreakGlassRefused, ReasonMissing
from approvals.models import BreakGlass, Gate
from approvals.seals import seal, words
from console import roles
from console.models import User
from runs.models import new_id
from tests.approvals.attacks import ALL_PROCESSES, Attack, parked, refusal
from tests.approvals.glasses import (
    confirmed,
    confirmed_by,
    keyed,
    let_time_pass,
    opened,
    reviewed,
    verified,
)
from tests.approvals.proposals import an_admin
from tests.harness import World, admin, as_role


def counts(gate: Gate, person: User) -> bool:
    with admin() as superuser:
        found = superuser.execute(
            "SELECT approvals_broke_glass(g, %s) FROM approvals_gate g WHERE id = %s",
            [person.pk, gate.pk],
        ).fetchone()
    assert found is not None
    return bool(found[0])


def test_while_it_is_open_the_two_count_and_nobody_else_and_then_no_longer(world: World) -> None:
    gate = parked(world)
    glass = opened(world)
    assert not counts(gate, world.mallory)

    confirmed(world, glass)
    assert counts(gate, world.mallory) and counts(gate, world.erin)
    assert not counts(gate, world.dave)
    assert [one.pk for one in breakglass.active(world.tenant)] == [glass.pk]

    let_time_pass(31)
    assert not counts(gate, world.mallory)
    assert not breakglass.active(world.tenant).exists()


@pytest.mark.parametrize(
    ("scope", "subject", "is_in"),
    [
        ("tool", "pay", True),
        ("tool", "refund", False),
        ("workflow", "paying", True),
        ("workflow", "other", False),
    ],
)
def test_it_is_open_for_its_scope_alone(
    world: World, scope: str, subject: str, is_in: bool
) -> None:
    gate = parked(world)
    confirmed(world, opened(world, scope=scope, subject=subject))
    assert counts(gate, world.mallory) is is_in


def test_who_asked_for_the_run_counts_in_no_glass_not_by_a_second_account_either(
    world: World,
) -> None:
    gate = parked(world)
    with as_role("placet_owner"):
        world.alice.email = "alice@example.org"
        world.alice.save()
    twin = an_admin(world, "alice2", email="ALICE@example.org", role=roles.REVIEWER)
    glass = opened(world, by=twin)
    confirmed(world, glass)
    assert not counts(gate, twin)
    assert counts(gate, world.erin)


def test_the_second_is_another_human(world: World) -> None:
    with as_role("placet_owner"):
        world.mallory.email = "m@example.org"
        world.mallory.save()
    twin = an_admin(world, "mallory2", email="M@example.org")
    glass = opened(world)
    for same in (world.mallory, twin):
        with pytest.raises(BreakGlassRefused, match="a second human must confirm it"):
            confirmed(world, glass, same)
        answer = refusal(world, "placet_web", forged_confirmation(glass, same))
        assert "breakglass human: a second human confirms it" in answer
    with pytest.raises(BreakGlassRefused, match="A reviewer or an admin breaks the glass"):
        confirmed(world, glass, world.alice)
    confirmed(world, glass, world.erin)


def test_a_glass_that_nobody_confirms_in_time_stays_whole(world: World) -> None:
    glass = opened(world)
    let_time_pass(limits.BREAKGLASS_CONFIRM_SECONDS // 60)
    with pytest.raises(BreakGlassRefused, match="Nobody confirmed it in time"):
        confirmed(world, glass)
    answer = refusal(world, "placet_web", forged_confirmation(glass, world.erin))
    assert "breakglass late: nothing waits to be confirmed" in answer
    opened(world)


def test_it_needs_a_reason_and_an_end_within_the_hour(world: World) -> None:
    with as_role("placet_web"):
        asked = {"tenant": world.tenant, "person": world.mallory, "scope": "everything"}
        with pytest.raises(ReasonMissing, match="Breaking the glass needs a reason"):
            breakglass.open_glass(**asked, minutes=30, reason=" ")
        with pytest.raises(BreakGlassRefused, match="for 1 to 60 minutes"):
            breakglass.open_glass(**asked, minutes=61, reason="x")
    answer = refusal(world, "placet_web", forged_glass(world, world.mallory, minutes=61))
    assert "approvals_breakglass_hour" in answer


def test_without_a_review_nobody_breaks_it_again(world: World) -> None:
    glass, other = opened(world), opened(world, by=world.bob)
    confirmed(world, glass)
    unreviewed = "breakglass review: the last time has not been reviewed"
    with pytest.raises(BreakGlassRefused, match="nobody has reviewed that yet"):
        opened(world)
    assert unreviewed in refusal(world, "placet_web", forged_glass(world, world.bob))
    assert unreviewed in refusal(world, "placet_web", forged_confirmation(other, world.carol))

    with pytest.raises(BreakGlassRefused, match="when its time is over"):
        reviewed(world, glass, world.dave)
    let_time_pass(31)
    with pytest.raises(BreakGlassRefused, match="somebody else reviews it"):
        reviewed(world, glass, world.mallory)
    assert "review human" in refusal(world, "placet_web", forged_review(glass, world.mallory))
    with pytest.raises(BreakGlassRefused, match="A reviewer, an auditor or an admin"):
        reviewed(world, glass, world.alice)
    reviewed(world, glass, world.dave)
    opened(world)


@pytest.mark.parametrize("second", ["carol", "erin"])
def test_neither_of_the_two_reviews_it_whatever_their_roles(world: World, second: str) -> None:
    person = getattr(world, second)
    glass = opened(world)
    confirmed(world, glass, person)
    let_time_pass(31)
    for one in (world.mallory, person):
        with pytest.raises(BreakGlassRefused, match="somebody else reviews it"):
            reviewed(world, glass, one)
        assert "review human" in refusal(world, "placet_web", forged_review(glass, one))
    reviewed(world, glass, world.dave)


def test_a_review_says_what_there_is_to_review_and_who_was_quicker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    glass = opened(world)
    with pytest.raises(BreakGlassRefused, match="Nobody has confirmed it, so there is nothing"):
        reviewed(world, glass, world.dave)
    confirmed_by(glass, world.erin)
    with pytest.raises(BreakGlassRefused, match="The gatekeeper has yet to verify the keys, so"):
        reviewed(world, glass, world.dave)
    verified()
    let_time_pass(31)
    reviewed(world, glass, world.dave)
    with pytest.raises(BreakGlassRefused, match="You have reviewed it already"):
        reviewed(world, glass, world.dave)
    with pytest.raises(BreakGlassRefused, match="dave has reviewed it already"):
        reviewed(world, glass, world.bob)

    # Both looked before either of them wrote.
    monkeypatch.setattr(breakglass, "why_not_review", lambda glass, person: "")
    with pytest.raises(BreakGlassRefused, match="Somebody else has reviewed it already"):
        reviewed(world, glass, world.bob)
    assert glass.review.person == world.dave


def test_a_review_is_overdue_a_day_later(world: World) -> None:
    confirmed(world, opened(world))
    overdue = breakglass.unreviewed(world.tenant).filter(breakglass.is_overdue())
    let_time_pass(30 + 24 * 60 - 1)
    assert not overdue.exists()
    let_time_pass(2)
    overdue = breakglass.unreviewed(world.tenant).filter(breakglass.is_overdue())
    assert overdue.exists()


# Attacks by SQL.


def forged_glass(
    world: World,
    person: User,
    *,
    proper: bool = True,
    minutes: int = 30,
    key_of: User | None = None,
) -> Attack:
    id = new_id()
    told = (id, person.pk, "everything", minutes, words(world.tenant), words(""), words("x"))
    sealed = seal("placet/breakglass/v1", *told) if proper else b"x" * 32
    return (
        "INSERT INTO approvals_breakglass (id, tenant, scope, subject, reason, minutes,"
        " opened_by_id, seal, key, signature, writer)"
        " VALUES (%s, %s, 'everything', '', 'x', %s, %s, %s, %s, 'forged', '')",
        [id, world.tenant, minutes, person.pk, sealed, keyed(key_of or person)[0].pk],
    )


def forged_confirmation(
    glass: BreakGlass, person: User, *, proper: bool = True, key_of: User | None = None
) -> Attack:
    told = ("placet/breakglass-confirmation/v1", glass.pk, person.pk)
    sealed = seal(*told, digest=bytes(glass.seal)) if proper else b"x" * 32
    return (
        "INSERT INTO approvals_breakglassconfirmation (breakglass_id, tenant, person_id, seal,"
        " key, signature, until, writer)"
        " VALUES (%s, %s, %s, %s, %s, 'forged', now() + interval '1 year', '')",
        [glass.pk, glass.tenant, person.pk, sealed, keyed(key_of or person)[0].pk],
    )


def forged_review(glass: BreakGlass, person: User, *, proper: bool = True) -> Attack:
    told = (glass.pk, person.pk, words("x"))
    sealed = seal("placet/breakglass-review/v1", *told) if proper else b"x" * 32
    return (
        "INSERT INTO approvals_breakglassreview (breakglass_id, tenant, person_id, found, seal,"
        " writer) VALUES (%s, %s, %s, 'x', %s, '')",
        [glass.pk, glass.tenant, person.pk, sealed],
    )


def test_web_breaks_confirms_and_reviews_in_nobodys_name(world: World) -> None:
    attack = forged_glass(world, world.bob, proper=False)
    assert "breakglass seal: nobody who was signed in broke" in refusal(world, "placet_web", attack)
    attack = forged_glass(world, world.alice)
    assert "breakglass role: a reviewer or an admin" in refusal(world, "placet_web", attack)
    glass = opened(world)
    attack = forged_confirmation(glass, world.erin, proper=False)
    assert "breakglass seal: nobody who was signed in confirmed it" in refusal(
        world, "placet_web", attack
    )
    confirmed(world, glass)
    # However long web says it is: it ends by the database's clock.
    until = breakglass.of_tenant(world.tenant).get().confirmation
    assert until.writer == "placet_web"
    assert (until.until - until.at).total_seconds() == pytest.approx(30 * 60, abs=1)
    let_time_pass(31)
    attack = forged_review(glass, world.dave, proper=False)
    assert "review seal: nobody who was signed in said this" in refusal(world, "placet_web", attack)


@pytest.mark.parametrize("role", ALL_PROCESSES)
def test_no_process_but_web_writes_it_and_none_rewrites_it(world: World, role: str) -> None:
    glass = confirmed(world, opened(world))
    if role != "placet_web":
        for attack in (forged_glass(world, world.bob), forged_confirmation(glass, world.bob)):
            assert "permission denied for table approvals_breakglass" in refusal(
                world, role, attack
            )
    for table in ("", "confirmation", "review"):
        for verb in (
            "DELETE FROM approvals_breakglass{}",
            "UPDATE approvals_breakglass{} SET tenant = ''",
        ):
            answer = refusal(world, role, (verb.format(table), []))
            assert f"permission denied for table approvals_breakglass{table}" in answer

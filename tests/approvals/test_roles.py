"""Since when somebody has a role: at a gate it counts as membership of a group does."""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg
import pytest

from approvals import locks
from approvals.eligibility import is_asked, is_live, why_not
from approvals.errors import NotEligible
from approvals.models import Decision, Gate
from console.models import User
from console.roles import set_roles
from runs.clock import database_now
from runs.models import Step
from tests.approvals.attacks import ALL_PROCESSES, forged, proper_seal, refusal
from tests.approvals.clock import clock_stands_at
from tests.approvals.test_thresholds import gate_of, rule, status
from tests.harness import World, admin, as_role
from tests.zoo import ledger

LATE = "You joined after this request was made, so you do not count here."
REVIEWER = {"role": "reviewer", "count": 1}
MILLISECOND = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)


def give(person: User, *names: str) -> None:
    with as_role("placet_owner"):
        set_roles(person, set(names))


def give_at(moment: datetime, person: User) -> None:
    """Makes somebody a reviewer anew, at this moment of the database's clock."""
    give(person)
    with clock_stands_at(moment, "approvals_date_role"):
        give(person, "reviewer")


def since(person: User, role: str = "reviewer") -> datetime:
    with admin() as superuser:
        found = superuser.execute(
            "SELECT m.since FROM console_user_groups m JOIN auth_group g ON g.id = m.group_id"
            " WHERE m.user_id = %s AND g.name = %s",
            [person.pk, role],
        ).fetchone()
    assert found is not None
    return datetime.fromisoformat(str(found[0]))


def test_who_was_given_the_role_after_the_request_does_not_count(world: World) -> None:
    gate = gate_of(world, REVIEWER)
    give(world.erin, "admin", "reviewer")
    assert why_not(gate, world.erin) == f"Only members of the role 'reviewer' decide here. {LATE}"
    assert not Gate.objects.filter(is_live() & is_asked(world.erin)).exists()
    with pytest.raises(NotEligible):
        world.decide(gate, world.erin)
    attack = forged(gate, world.erin, seal=proper_seal(gate, world.erin))
    assert "decision eligibility: the gate does not ask" in refusal(world, "placet_web", attack)
    assert not Decision.objects.exists()
    (later,) = world.gates(world.park_at_gates(6000))
    assert why_not(later, world.erin) == ""
    world.decide(later, world.erin)
    assert status(later, world) == "approved" and len(ledger("paid")) == 1


def test_a_role_that_was_taken_and_given_again_begins_anew(world: World) -> None:
    """What its holder had approved before no longer counts, at no place where it is counted."""
    gate = gate_of(world, {"role": "reviewer", "count": 2})
    world.decide(gate, world.bob)
    give(world.bob, "operator")
    give(world.bob, "operator", "reviewer")
    world.decide(gate, world.carol)
    assert status(gate, world) == "open"
    assert ledger("paid") == []
    world.decide(gate, world.mallory)
    assert status(gate, world) == "approved"


def test_another_role_beside_it_leaves_its_date(world: World) -> None:
    gate = gate_of(world, REVIEWER)
    give(world.bob, "operator", "reviewer")
    assert why_not(gate, world.bob) == ""


def test_a_rule_may_ask_how_long_somebody_has_had_the_role(world: World) -> None:
    world.publish(rule({**REVIEWER, "member_for_seconds": 3600}))
    run = world.park_at_gates(5000)
    assert world.gates(run) == []
    held = Step.objects.get(run=run, status="held").held_because
    assert "asks for 1 of the role 'reviewer', of whom 0 may decide" in held
    give_at(database_now() - 2 * HOUR, world.bob)
    world.settle()
    (gate,) = world.gates(run)
    give_at(gate.opened_at - HOUR, world.carol)
    give_at(gate.opened_at - HOUR + MILLISECOND, world.mallory)
    assert why_not(gate, world.carol) == ""
    assert why_not(gate, world.mallory) == "Only members of the role 'reviewer' decide here."
    attack = forged(gate, world.mallory, seal=proper_seal(gate, world.mallory))
    assert "decision eligibility: the gate does not ask" in refusal(world, "placet_web", attack)
    world.decide(gate, world.carol)
    assert status(gate, world) == "approved"


def test_the_role_counts_from_the_very_moment_at_which_the_gate_is_opened(world: World) -> None:
    gate = gate_of(world, REVIEWER)
    give_at(gate.opened_at, world.carol)
    give_at(gate.opened_at + MILLISECOND, world.mallory)
    asked = {
        person.username
        for person in (world.bob, world.carol, world.mallory)
        if Gate.objects.filter(is_live() & is_asked(person)).exists()
    }
    assert asked == {"bob", "carol"}
    assert why_not(gate, world.carol) == ""
    assert why_not(gate, world.mallory).endswith(LATE)


@pytest.mark.parametrize("process", ALL_PROCESSES)
@pytest.mark.parametrize(
    "attack",
    [
        "INSERT INTO console_user_groups (user_id, group_id) SELECT %s, id FROM auth_group"
        " WHERE name = 'reviewer'",
        "UPDATE console_user_groups SET since = '2020-01-01Z' WHERE user_id = %s",
        "UPDATE auth_group SET name = 'reviewer' || %s::text",
    ],
)
def test_no_process_gives_a_role_or_dates_one(world: World, process: str, attack: str) -> None:
    answer = refusal(world, process, (attack, [world.erin.pk]))
    assert "permission denied for table" in answer


@pytest.mark.parametrize(
    "written",
    [
        "INSERT INTO console_user_groups (user_id, group_id, since)"
        " SELECT %s, id, '2020-01-01Z' FROM auth_group WHERE name = 'reviewer'",
        "UPDATE console_user_groups SET since = '2020-01-01Z', group_id ="
        " (SELECT id FROM auth_group WHERE name = 'reviewer') WHERE user_id = %s",
    ],
)
def test_the_database_dates_a_role_whatever_its_writer_says(world: World, written: str) -> None:
    """The owner's role is the only one that may write it."""
    before = database_now()
    with psycopg.connect(world.servers.database_url("placet_owner")) as owner:
        owner.execute(written.encode(), [world.erin.pk])
    assert before < since(world.erin) < database_now()


def test_a_role_under_another_name_is_one_that_nobody_had(world: World) -> None:
    gate = gate_of(world, REVIEWER)
    renamed = "UPDATE auth_group SET name = %s WHERE name = %s"
    with admin() as superuser:
        superuser.execute(renamed, ["readers", "reviewer"])
        superuser.execute(renamed, ["reviewer", "readers"])
    assert why_not(gate, world.bob).endswith(LATE)


def test_who_had_a_role_before_it_had_a_date_counts_since_they_were_added(world: World) -> None:
    gate = gate_of(world, REVIEWER)
    added = User.objects.get(pk=world.bob.pk).date_joined
    with admin() as superuser:
        superuser.execute("BEGIN")
        superuser.execute(locks.ROLES_UNDO.encode())
        superuser.execute(locks.ROLES.encode())
        found = superuser.execute(
            "SELECT m.since, approvals_is_member(g, m.user_id)"
            " FROM console_user_groups m, approvals_gate g WHERE m.user_id = %s AND g.id = %s",
            [world.bob.pk, gate.id],
        ).fetchone()
        superuser.execute("ROLLBACK")
    assert found == (added, True)
    assert since(world.bob) > added

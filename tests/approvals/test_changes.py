"""What takes two admins: proposed, agreed to, carried out; and never by fewer."""

from __future__ import annotations

import psycopg
import pytest

from approvals import changes, groups, people
from approvals.errors import ChangeRefused, DigestMismatch, ReasonMissing
from approvals.models import Change, ChangeVoice, Reviewer
from console import roles
from console.celery import sweeps_of
from tests.approvals.attacks import ALL_PROCESSES, Attack, refusal
from tests.approvals.proposals import (
    agree,
    an_admin,
    forged_change,
    forged_voice,
    keep,
    propose,
    propose_member,
)
from tests.harness import World, admin, as_role

APPLY = "UPDATE approvals_change SET status = 'applied' WHERE id = %s"


def members(world: World) -> set[str]:
    found = Reviewer.objects.filter(tenant=world.tenant, group="payments")
    return set(found.values_list("person__username", flat=True))


def test_the_roles_of_the_locks_are_those_of_the_console() -> None:
    named = {people.REVIEWER, people.AUDITOR, people.ADMIN, people.OPERATOR}
    assert named == set(roles.ROLES)


def test_the_gatekeeper_and_nobody_else_looks_for_changes_by_itself() -> None:
    looks = {p: changes.sweep in sweeps_of(p)[1] for p in ("web", "worker", "executor")}
    assert looks == dict.fromkeys(("web", "worker", "executor"), False)
    assert changes.sweep in sweeps_of("gatekeeper")[1]


def test_two_admins_make_a_member_and_the_gatekeeper_writes_it(world: World) -> None:
    frank = an_admin(world, "frank")
    change = propose_member(world, world.mallory)

    assert keep(change).status == "open"
    assert members(world) == {"bob", "carol"}

    agree(world, change, frank)
    closed = keep(change)

    assert (closed.status, closed.error) == ("applied", "")
    assert members(world) == {"bob", "carol", "mallory"}
    since = Reviewer.objects.get(tenant=world.tenant, person=world.mallory).since
    assert closed.closed_at is not None and since >= closed.closed_at


def test_two_admins_remove_a_member(world: World) -> None:
    frank = an_admin(world, "frank")
    body = groups.body(group="payments", person=world.carol)
    change = propose(world, world.erin, "remove_reviewer", body)
    agree(world, change, frank)

    assert keep(change).status == "applied"
    assert members(world) == {"bob"}


def test_nobody_is_removed_on_whom_a_rule_in_force_depends(world: World) -> None:
    world.policy(name="Both of them", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)
    body = groups.body(group="payments", person=world.carol)
    with pytest.raises(ChangeRefused) as refused:
        propose(world, world.erin, "remove_reviewer", body)
    assert str(refused.value) == (
        "The rule 'Both of them' asks for 2 of the group 'payments'; without carol 1 would be"
        " left. Add somebody first."
    )


def test_a_rule_published_meanwhile_keeps_the_member_and_the_change_says_so(world: World) -> None:
    frank = an_admin(world, "frank")
    body = groups.body(group="payments", person=world.carol)
    change = propose(world, world.erin, "remove_reviewer", body)
    agree(world, change, frank)
    world.policy(name="Both of them", above_minor=1_000_000, up_to_minor=2_000_000, quorum=2)

    closed = keep(change)

    assert closed.status == "refused"
    assert "without carol 1 would be left" in closed.error
    assert members(world) == {"bob", "carol"}


def test_one_refusal_ends_a_change_and_the_proposers_own_withdraws_it(world: World) -> None:
    frank = an_admin(world, "frank")
    first = propose_member(world, world.mallory)
    agree(world, first, frank, "refuse")
    assert keep(first).status == "refused"

    second = propose_member(world, world.mallory)
    agree(world, second, world.erin, "refuse")
    assert keep(second).status == "withdrawn"
    assert members(world) == {"bob", "carol"}


def test_a_change_whose_time_is_over_expires_and_takes_no_voice(world: World) -> None:
    frank = an_admin(world, "frank")
    change = propose_member(world, world.mallory)
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_change SET expires_at = clock_timestamp()")
    with pytest.raises(ChangeRefused, match="The time of this change is over"):
        agree(world, change, frank)
    assert keep(change).status == "expired"


def test_the_proposer_is_not_the_second_voice_nor_is_another_account_of_theirs(
    world: World,
) -> None:
    with as_role("placet_owner"):
        world.erin.email = "Erin@Example.org"
        world.erin.save()
    twin = an_admin(world, "erin2", email=" erin@example.ORG ")
    frank = an_admin(world, "frank", email="frank@example.org")
    change = propose_member(world, world.mallory)

    for same in (world.erin, twin):
        with pytest.raises(ChangeRefused, match="the second voice must be another admin's"):
            agree(world, change, same)
        answer = refusal(world, "placet_web", forged_voice(change, same))
        assert "voice human: who proposed a change is not its second voice" in answer
    agree(world, change, frank)
    assert keep(change).status == "applied"


@pytest.mark.parametrize("address", ["", "  ", "a@b.example", " A@B.Example ", "Ünal@b.example"])
def test_the_database_and_the_code_see_the_same_human(world: World, address: str) -> None:
    person = an_admin(world, "frank", email=address)
    with admin() as superuser:
        found = superuser.execute("SELECT approvals_human(%s)", [person.pk]).fetchone()
    assert found == (people.human(person),)


def test_two_accounts_of_one_human_are_one_voice_when_it_is_applied(world: World) -> None:
    """An address that was changed afterwards is seen, because humans are counted at the end."""
    frank = an_admin(world, "frank")
    change = propose_member(world, world.mallory)
    agree(world, change, frank)
    with as_role("placet_owner"):
        for person in (world.erin, frank):
            person.email = "both@example.org"
            person.save()

    assert keep(change).status == "open"
    assert "change voices: 1/2 admins have agreed" in refusal(
        world, "placet_gatekeeper", (APPLY, [change.pk])
    )


def test_only_admins_propose_and_decide_and_of_a_non_admins_proposal_two_others(
    world: World,
) -> None:
    with pytest.raises(ChangeRefused, match="To propose this takes the role admin"):
        propose_member(world, world.mallory, by=world.bob)
    change = propose_member(world, world.mallory)
    with pytest.raises(ChangeRefused, match="Only admins decide about changes"):
        agree(world, change, world.bob)
    assert "voice role: only an admin decides about a change" in refusal(
        world, "placet_web", forged_voice(change, world.bob)
    )


def test_an_admin_who_has_left_since_is_no_voice(world: World) -> None:
    frank = an_admin(world, "frank")
    change = propose_member(world, world.mallory)
    agree(world, change, frank)
    with as_role("placet_owner"):
        roles.set_roles(world.erin, {roles.AUDITOR})
    assert keep(change).status == "open"


def test_what_is_agreed_to_is_what_was_seen(world: World) -> None:
    frank = an_admin(world, "frank")
    change = propose_member(world, world.mallory)
    with as_role("placet_web"), pytest.raises(DigestMismatch, match="Look again"):
        changes.say(
            change_id=change.pk,
            tenant=world.tenant,
            person=frank,
            verdict="approve",
            reason="",
            digest="0" * 64,
        )
    answer = refusal(world, "placet_web", forged_voice(change, frank, digest=b"x" * 32))
    assert "voice digest: this is not what the change is about" in answer
    assert not ChangeVoice.objects.exists()


def test_a_change_and_a_refusal_need_a_reason(world: World) -> None:
    body = groups.body(group="payments", person=world.mallory)
    with as_role("placet_web"), pytest.raises(ReasonMissing, match="A change needs a reason"):
        changes.propose(
            tenant=world.tenant, person=world.erin, kind="add_reviewer", body=body, reason=" "
        )


def test_the_same_is_not_proposed_twice_nor_what_cannot_be_done(world: World) -> None:
    propose_member(world, world.mallory)
    with pytest.raises(ChangeRefused, match="The same has been proposed already"):
        propose_member(world, world.mallory)
    with pytest.raises(ChangeRefused, match="The group 'payments' has bob already"):
        propose_member(world, world.bob)
    with pytest.raises(ChangeRefused, match="Nothing here can carry out"):
        propose(world, world.erin, "become_king", {})


# Attacks by SQL, with the rights of one process.


def insert_member(world: World, group: str = "payments") -> Attack:
    return (
        'INSERT INTO approvals_reviewer (tenant, "group", person_id, since)'
        " VALUES (%s, %s, %s, now() - interval '1 year')",
        [world.tenant, group, world.mallory.pk],
    )


@pytest.mark.parametrize("role", [r for r in ALL_PROCESSES if r != "placet_gatekeeper"])
def test_no_process_but_the_gatekeeper_may_write_members_at_all(world: World, role: str) -> None:
    for attack in (insert_member(world), ("DELETE FROM approvals_reviewer", [])):
        answer = refusal(world, role, attack)
        assert "permission denied for table approvals_reviewer" in answer


def test_the_gatekeeper_cannot_write_a_member_without_two_admins(world: World) -> None:
    change = propose_member(world, world.mallory)
    nobody_agreed = "reviewer change: two admins have not agreed to this"
    assert nobody_agreed in refusal(world, "placet_gatekeeper", insert_member(world))
    assert nobody_agreed in refusal(
        world, "placet_gatekeeper", ("DELETE FROM approvals_reviewer", [])
    )
    assert "change voices: 1/2" in refusal(
        world, "placet_gatekeeper", (APPLY, [change.pk]), insert_member(world)
    )


def test_a_satisfied_change_lets_the_gatekeeper_do_exactly_that_and_only_then(
    world: World,
) -> None:
    change = propose_member(world, world.mallory)
    agree(world, change, an_admin(world, "frank"))
    answer = refusal(
        world, "placet_gatekeeper", (APPLY, [change.pk]), insert_member(world, "treasury")
    )
    assert "reviewer change: two admins have not agreed to this" in answer
    url = world.servers.database_url("placet_gatekeeper")
    with psycopg.connect(url) as gatekeeper:
        gatekeeper.execute(APPLY, [change.pk])
        gatekeeper.execute(*insert_member(world))
        gatekeeper.commit()
    assert "mallory" in members(world)
    # The moment is the database's, whatever the row said.
    with admin() as superuser:
        told = superuser.execute(
            "SELECT since > now() - interval '1 hour' FROM approvals_reviewer WHERE person_id = %s",
            [world.mallory.pk],
        ).fetchone()
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("DELETE FROM approvals_reviewer WHERE person_id = %s", [world.mallory.pk])
    assert told == (True,)
    answer = refusal(world, "placet_gatekeeper", insert_member(world))
    assert "reviewer change: two admins have not agreed to this" in answer


@pytest.mark.parametrize("role", [r for r in ALL_PROCESSES if r != "placet_web"])
def test_only_web_writes_what_people_propose_and_say(world: World, role: str) -> None:
    change = propose_member(world, world.mallory)
    body = groups.body(group="other", person=world.mallory)
    attack = forged_change(world, world.erin, "add_reviewer", body)
    assert "permission denied for table approvals_change" in refusal(world, role, attack)
    attack = forged_voice(change, an_admin(world, "frank"))
    assert "permission denied for table approvals_changevoice" in refusal(world, role, attack)


def test_web_cannot_propose_or_agree_for_another_by_sql(world: World) -> None:
    frank = an_admin(world, "frank")
    body = groups.body(group="other", person=world.mallory)
    forged = forged_change(world, frank, "add_reviewer", body, proper=False)
    assert "change seal: nobody who was signed in proposed this" in refusal(
        world, "placet_web", forged
    )
    change = propose_member(world, world.mallory)
    forged = forged_voice(change, frank, proper=False)
    assert "voice seal: nobody who was signed in said this" in refusal(world, "placet_web", forged)
    url = world.servers.database_url("placet_web")
    with psycopg.connect(url) as lawful:
        lawful.execute(*forged_voice(change, frank))
    assert ChangeVoice.objects.get().writer == "placet_web"


def test_no_process_changes_what_was_proposed_or_brings_it_back(world: World) -> None:
    change = propose_member(world, world.mallory)
    for role in ALL_PROCESSES:
        for column in ("body", "digest", "proposed_by_id", "expires_at", "applied_in"):
            attack = (f"UPDATE approvals_change SET {column} = NULL", [])
            assert "permission denied for table approvals_change" in refusal(world, role, attack)
        for attack in ("DELETE FROM approvals_change", "DELETE FROM approvals_changevoice"):
            assert "permission denied" in refusal(world, role, (attack, []))
    agree(world, change, world.erin, "refuse")
    keep(change)
    answer = refusal(world, "placet_gatekeeper", (APPLY, [change.pk]))
    assert "change closed: a change that is withdrawn stays so" in answer
    answer = refusal(world, "placet_owner", ("UPDATE approvals_change SET body = 'x'", []))
    assert "change bytes: what was proposed cannot be changed" in answer


def test_the_gatekeeper_cannot_apply_over_a_refusal_or_past_the_time(world: World) -> None:
    frank, grace = an_admin(world, "frank"), an_admin(world, "grace")
    change = propose_member(world, world.mallory)
    agree(world, change, frank)
    agree(world, change, grace, "refuse")
    answer = refusal(world, "placet_gatekeeper", (APPLY, [change.pk]))
    assert "change refused: a refusal stands against it" in answer
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE approvals_change SET expires_at = clock_timestamp()")
    answer = refusal(world, "placet_gatekeeper", (APPLY, [change.pk]))
    assert "change late: the time of the change is over" in answer


def test_a_change_lives_no_longer_than_a_week_whatever_web_says(world: World) -> None:
    body = groups.body(group="other", person=world.mallory)
    url = world.servers.database_url("placet_web")
    with psycopg.connect(url) as web:
        web.execute(*forged_change(world, world.erin, "add_reviewer", body))
    change = Change.objects.get()
    assert (change.expires_at - change.proposed_at).days == 7

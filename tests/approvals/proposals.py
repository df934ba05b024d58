"""What admins propose, and what attackers forge in their names."""

from __future__ import annotations

from typing import Any

from approvals import changes, freezes, groups, registry
from approvals.models import Change, Freeze, Key
from approvals.seals import seal, words
from console import roles
from console.models import User
from runs import canonical
from runs.models import new_id
from tests.approvals.attacks import Attack
from tests.harness import PASSWORD, World, as_role


def an_admin(world: World, name: str, *, email: str = "", role: str = roles.ADMIN) -> User:
    with as_role("placet_owner"):
        person = User.objects.create_user(
            username=name, password=PASSWORD, tenant=world.tenant, email=email
        )
        roles.set_roles(person, {role})
    return person


def propose(world: World, person: User, kind: str, body: dict[str, Any]) -> Change:
    with as_role("placet_web"):
        return changes.propose(
            tenant=world.tenant, person=person, kind=kind, body=body, reason="It is needed."
        )


def propose_member(world: World, person: User, *, by: User | None = None) -> Change:
    body = groups.body(group="payments", person=person)
    return propose(world, by or world.erin, "add_reviewer", body)


def agree(world: World, change: Change, person: User, verdict: str = "approve") -> Any:
    with as_role("placet_web"):
        return changes.say(
            change_id=change.pk,
            tenant=world.tenant,
            person=person,
            verdict=verdict,
            reason="" if verdict == "approve" else "It is not.",
            digest=bytes(change.digest).hex(),
        )


def keep(change: Change) -> Change:
    """What the gatekeeper makes of it."""
    with as_role("placet_gatekeeper"):
        changes.sweep()
    return Change.objects.get(pk=change.pk)


def frozen(
    world: World, scope: str = "everything", subject: str = "", *, by: User | None = None
) -> Freeze:
    with as_role("placet_web"):
        return freezes.freeze(
            tenant=world.tenant,
            person=by or world.bob,
            scope=scope,
            subject=subject,
            reason="Something is wrong.",
        )


def thawed(world: World, freeze: Freeze, second: User) -> Change:
    change = propose(world, world.erin, "thaw", freezes.thaw_body(freeze))
    agree(world, change, second)
    return keep(change)


def vouched(world: World, key: Key) -> Change:
    """Two admins vouch for a key that waits."""
    change = propose(world, world.erin, "vouch_key", registry.vouching(key))
    agree(world, change, an_admin(world, "frank"))
    return keep(change)


def forged_change(
    world: World, person: User, kind: str, body: dict[str, Any], *, proper: bool = True
) -> Attack:
    """The row of a proposal, with the seal that only the web process itself can make."""
    id, encoded = new_id(), canonical.encode(body)
    digest = changes.digest_of(
        id=id, tenant=world.tenant, kind=kind, person_id=person.pk, body=encoded
    )
    sealed = seal("placet/proposal/v1", id, person.pk, words("x"), "", digest=digest)
    return (
        "INSERT INTO approvals_change (id, tenant, kind, body, digest, proposed_by_id, reason,"
        " seal, expires_at, status, error, writer) VALUES (%s, %s, %s, %s, %s, %s, 'x', %s,"
        " now() + interval '90 days', 'open', '', '')",
        [id, world.tenant, kind, encoded, digest, person.pk, sealed if proper else b"x" * 32],
    )


def forged_voice(
    change: Change, person: User, *, proper: bool = True, digest: bytes = b""
) -> Attack:
    digest = digest or bytes(change.digest)
    told = (change.pk, person.pk, "approve", words("x"), "")
    sealed = seal("placet/changevoice/v1", *told, digest=digest)
    return (
        "INSERT INTO approvals_changevoice (id, tenant, change_id, person_id, verdict, reason,"
        " digest, seal, at, writer) VALUES (%s, %s, %s, %s, 'approve', 'x', %s, %s, now(), '')",
        [new_id(), change.tenant, change.pk, person.pk, digest, sealed if proper else b"x" * 32],
    )


def forged_freeze(world: World, person: User | None, *, proper: bool) -> Attack:
    id = new_id()
    sealed = None
    if person is not None:
        told = ("everything", words(world.tenant), words(""), words("x"))
        sealed = seal("placet/freeze/v1", id, person.pk, *told) if proper else b"x" * 32
    return (
        "INSERT INTO approvals_freeze (id, tenant, scope, subject, reason, by_id, seal, writer)"
        " VALUES (%s, %s, 'everything', '', 'x', %s, %s, '')",
        [id, world.tenant, person and person.pk, sealed],
    )

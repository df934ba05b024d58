"""A glass that is broken the lawful way: two people, two keys, and the gatekeeper's look."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from approvals import breakglass, glasskeys, tasks
from approvals.keys import standing_keys_of
from approvals.models import BreakGlass, Key
from approvals.signing import Signed
from console.models import User
from tests.approvals.authenticator import KeyFile
from tests.approvals.enrolled import Device, enrol
from tests.harness import World, admin, as_role

REASON = "Nobody of the group can be reached."
_devices: dict[UUID, Device] = {}


def keyed(person: Any, device: Device | None = None) -> tuple[Key, Device]:
    """A key of this person's that has long been enrolled, and the device that holds it."""
    for key in standing_keys_of(person):
        if key.pk in _devices and device is None:
            return key, _devices[key.pk]
    device = device or KeyFile()
    key = enrol(person, device, f"Key {len(_devices)}")
    _devices[key.pk] = device
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE approvals_key SET enrolled_at = now() - interval '9 days',"
            " seasoned_at = now() - interval '8 days' WHERE id = %s",
            [key.pk],
        )
    key.refresh_from_db()
    return key, device


def signed(person: Any, challenge: bytes) -> Signed:
    key, device = keyed(person)
    return Signed(key_id=key.pk, answer=device.sign(challenge))


def asked(world: World, *, by: User | None = None, **told: Any) -> BreakGlass:
    """What somebody is about to sign; nothing is recorded."""
    about: dict[str, Any] = {"scope": "everything", "subject": "", "minutes": 30, "reason": REASON}
    return glasskeys.asked(tenant=world.tenant, person=by or world.mallory, **(about | told))


def recorded(glass: BreakGlass, by: Signed | None) -> BreakGlass:
    names = ("id", "tenant", "scope", "subject", "minutes", "reason")
    with as_role("placet_web"):
        return breakglass.open_glass(
            **{name: getattr(glass, name) for name in names}, person=glass.opened_by, signed=by
        )


def opened(world: World, *, by: User | None = None, **told: Any) -> BreakGlass:
    glass = asked(world, by=by, **told)
    return recorded(glass, signed(glass.opened_by, glasskeys.opening_challenge(glass)))


def confirmed_by(glass: BreakGlass, person: User, signature: Signed | None = None) -> None:
    """Said in web; the gatekeeper has not looked yet."""
    by = signature or signed(person, glasskeys.confirming_challenge(glass, person.pk))
    with as_role("placet_web"):
        breakglass.confirm(glass_id=glass.pk, tenant=glass.tenant, person=person, signed=by)


def verified() -> int:
    with as_role("placet_gatekeeper"):
        return tasks.sweep_glasses()


def confirmed(world: World, glass: BreakGlass, by: User | None = None) -> BreakGlass:
    """Confirmed and verified: broken."""
    confirmed_by(glass, by or world.erin)
    verified()
    return breakglass.of_tenant(world.tenant).get(pk=glass.pk)


def reviewed(world: World, glass: BreakGlass, by: User) -> None:
    with as_role("placet_web"):
        breakglass.review(
            glass_id=glass.pk, tenant=world.tenant, person=by, found="It was right to."
        )


def let_time_pass(minutes: int) -> None:
    span = f"- {minutes} * interval '1 minute'"
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        for statement in (
            f"UPDATE approvals_breakglassconfirmation SET until = until {span}, at = at {span}",
            f"UPDATE approvals_breakglassproof SET verified_at = verified_at {span}",
            f"UPDATE approvals_breakglass SET opened_at = opened_at {span}",
        ):
            superuser.execute(statement)

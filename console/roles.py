"""The four roles, and what each of them may do.

A role is a Django group of the same name; a person may have several. Nothing here asks
`is_superuser`: a right that no role gives is a right that nobody has. Whether a reviewer
may decide at one particular gate is a further question, answered by `approvals`.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, Group
from django.db.models.signals import post_migrate

from approvals import breakglass
from console.models import User

REVIEWER = "reviewer"
AUDITOR = "auditor"
ADMIN = "admin"
OPERATOR = "operator"
ROLES = (OPERATOR, REVIEWER, AUDITOR, ADMIN)

_EVERYBODY = frozenset(ROLES)
RIGHTS: dict[str, frozenset[str]] = {
    "runs.view": _EVERYBODY,
    "runs.start": frozenset({OPERATOR}),
    "runs.cancel": frozenset({OPERATOR}),
    "runs.signal": frozenset({OPERATOR}),
    "questions.answer": frozenset({OPERATOR, REVIEWER}),
    "steps.settle": frozenset({OPERATOR}),
    "gates.view": _EVERYBODY,
    "gates.decide": frozenset({REVIEWER}),
    "keys.enrol": _EVERYBODY,
    "keys.revoke": frozenset({ADMIN}),
    "gates.comment": _EVERYBODY - {AUDITOR},
    "policies.view": _EVERYBODY,
    "channels.view": frozenset({ADMIN}),
    "channels.write": frozenset({ADMIN}),
    "secrets.view": frozenset({ADMIN}),
    "secrets.write": frozenset({ADMIN}),
    "audit.view": frozenset({AUDITOR, ADMIN}),
    "tokens.view": frozenset({ADMIN}),
    "tokens.write": frozenset({ADMIN}),
    "safeguards.view": _EVERYBODY,
    "changes.decide": frozenset({ADMIN}),
    "freezes.make": frozenset({OPERATOR, REVIEWER, ADMIN}),
    "breakglass.open": frozenset({REVIEWER, ADMIN}),
    "breakglass.review": frozenset({REVIEWER, AUDITOR, ADMIN}),
    "delegations.make": frozenset({REVIEWER}),
    "looks.take": frozenset({REVIEWER, AUDITOR}),
    "figures.view": frozenset({REVIEWER, AUDITOR, ADMIN}),
}


def roles_of(person: User) -> frozenset[str]:
    """The roles of this person, read once for each instance (that is, once a request)."""
    known = person.__dict__.get("_placet_roles")
    if known is None:
        known = frozenset(person.groups.filter(name__in=ROLES).values_list("name", flat=True))
        person.__dict__["_placet_roles"] = known
    return known


def may(person: AbstractBaseUser | AnonymousUser, right: str) -> bool:
    """Whether this person has the right; an unknown right is a mistake of the caller."""
    holders = RIGHTS[right]
    if not isinstance(person, User) or not person.is_active:
        return False
    return bool(holders & roles_of(person)) or (right == "gates.decide" and _broke_glass(person))


def _broke_glass(person: User) -> bool:
    """Whether an admin who does not review may decide all the same, for a broken glass says so;
    asked once for each instance. At which gates is told by `approvals`."""
    if ADMIN not in roles_of(person):
        return False
    known = person.__dict__.get("_placet_glass")
    if known is None:
        known = person.__dict__["_placet_glass"] = breakglass.is_held_by(person)
    return bool(known)


def set_roles(person: User, roles: set[str]) -> None:
    """Give the person exactly these roles. Groups are kept for other uses of Django's."""
    unknown = sorted(roles - set(ROLES))
    if unknown:
        raise ValueError(f"There is no role {unknown[0]!r}; the roles are {', '.join(ROLES)}.")
    ensure_groups()
    person.groups.remove(*Group.objects.filter(name__in=set(ROLES) - roles))
    person.groups.add(*Group.objects.filter(name__in=roles))
    person.__dict__.pop("_placet_roles", None)


def ensure_groups(**_signal: Any) -> None:
    for name in ROLES:
        Group.objects.get_or_create(name=name)


def connect() -> None:
    """Make the groups after each `migrate`, as the owner of the schema."""
    from django.apps import apps

    post_migrate.connect(
        ensure_groups, sender=apps.get_app_config("console"), dispatch_uid="console.roles"
    )

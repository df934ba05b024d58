"""Groups of reviewers: who is in one, and what a change of its members does.

The owner's commands set groups up; from then on members come and go by changes, and the
gatekeeper writes them. A removed member's row is deleted, so that `since` always says since
when somebody is a member without a break; the changes tell the rest.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from approvals import limits, policies
from approvals.errors import ChangeRefused
from approvals.models import Reviewer


def body(*, group: str, person: Any) -> dict[str, Any]:
    """What a change of a member says: the group, and the person by number and name."""
    return {"group": group, "person": person.pk, "username": person.get_username()}


def check_addition(tenant: str, body: dict[str, Any]) -> None:
    """Raises `ChangeRefused` where the person cannot become a member."""
    group = body["group"]
    if not group.strip() or len(group) > limits.MAX_GROUP_CHARACTERS or not group.isprintable():
        raise ChangeRefused(
            f"A group has a name of 1 to {limits.MAX_GROUP_CHARACTERS} printable characters."
        )
    people = get_user_model().objects.filter(pk=body["person"], is_active=True)
    if tenant not in people.values_list("tenant", flat=True):
        raise ChangeRefused("There is no such person, or they are no longer active.")
    if _member(tenant, body).exists():
        raise ChangeRefused(f"The group {group!r} has {body['username']} already.")


def check_removal(tenant: str, body: dict[str, Any]) -> None:
    """Raises `ChangeRefused` for who is no member, and where too few would be left."""
    if not _member(tenant, body).exists():
        raise ChangeRefused(f"The group {body['group']!r} has no member {body['username']}.")
    left = (
        Reviewer.objects.filter(tenant=tenant, group=body["group"], person__is_active=True)
        .exclude(person_id=body["person"])
        .count()
    )
    for name, quorum in wanted(tenant, body["group"]):
        if left < quorum:
            raise ChangeRefused(
                f"The rule {name!r} asks for {quorum} of the group {body['group']!r}; without"
                f" {body['username']} {left} would be left. Add somebody first."
            )


def wanted(tenant: str, group: str) -> list[tuple[str, int]]:
    """How many of a group the rules in force ask for: (name of the rule, how many)."""
    return [
        (rule["name"], threshold["count"])
        for rule in policies.rules(tenant)
        for threshold in rule["then"].get("consent", {}).get("thresholds", ())
        if threshold["group"] == group
    ]


def add(tenant: str, body: dict[str, Any]) -> None:
    """For the gatekeeper, within a change: the database refuses it outside of one."""
    Reviewer.objects.create(tenant=tenant, group=body["group"], person_id=body["person"])


def remove(tenant: str, body: dict[str, Any]) -> None:
    """For the gatekeeper, within a change: the database refuses it outside of one."""
    _member(tenant, body).delete()


def _member(tenant: str, body: dict[str, Any]) -> Any:
    return Reviewer.objects.filter(tenant=tenant, group=body["group"], person_id=body["person"])

"""Policies: which rule a payment meets. The first that matches decides; none, no clearance."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from approvals import limits
from approvals.errors import PolicyRefused
from approvals.models import Policy, Reviewer
from runs.canonical import CURRENCIES
from runs.limits import MAX_AMOUNT_MINOR


def rules(tenant: str) -> list[Policy]:
    """The rules in force, in the order in which they are tried."""
    return list(Policy.objects.filter(tenant=tenant, retired_at=None).order_by("position"))


def first_match(candidates: list[Policy], *, tool: str, money: dict[str, Any]) -> Policy | None:
    """The first rule for this tool, currency and amount."""
    for policy in candidates:
        if (
            policy.tool == tool
            and policy.currency == money["currency"]
            and policy.above_minor < money["amount_minor"] <= policy.up_to_minor
        ):
            return policy
    return None


def why_held(
    policy: Policy | None, *, tool: str, money: dict[str, Any], requesters: set[int]
) -> str:
    """Why no gate can be opened, in words; empty when one can."""
    if policy is None:
        return (
            f"No policy covers {tool} of {money['amount_minor']} {money['currency']} minor units,"
            " so nobody may clear it."
        )
    eligible = (
        Reviewer.objects.filter(tenant=policy.tenant, group=policy.group, person__is_active=True)
        .exclude(person_id__in=requesters)
        .count()
    )
    if eligible < policy.quorum:
        return (
            f"The policy {policy.name!r} asks for {policy.quorum} of the group {policy.group!r},"
            f" in which {eligible} may decide about this request."
        )
    return ""


def publish_policy(
    *,
    tenant: str,
    name: str,
    tool: str,
    currency: str,
    above_minor: int,
    up_to_minor: int,
    group: str,
    quorum: int,
    expires_after_seconds: int,
) -> Policy:
    """Puts a rule into force behind those that there are. Raises `PolicyRefused`."""
    if currency not in CURRENCIES:
        raise PolicyRefused(f"{currency!r} is not an ISO 4217 currency.")
    if not 0 <= above_minor < up_to_minor <= MAX_AMOUNT_MINOR:
        raise PolicyRefused(
            "The band must run from 0 or more up to a larger amount, at most"
            f" {MAX_AMOUNT_MINOR} minor units."
        )
    if not 1 <= quorum <= limits.MAX_QUORUM:
        raise PolicyRefused(f"A quorum is from 1 to {limits.MAX_QUORUM}.")
    if not 1 <= expires_after_seconds <= limits.MAX_EXPIRY_SECONDS:
        raise PolicyRefused(f"A gate stays open from 1 to {limits.MAX_EXPIRY_SECONDS} seconds.")
    if not name.strip() or not tool.strip() or not group.strip():
        raise PolicyRefused("A policy needs a name, a tool and a group of reviewers.")
    with transaction.atomic():
        last = rules_position(tenant)
        return Policy.objects.create(
            tenant=tenant,
            position=last + 1,
            name=name,
            tool=tool,
            currency=currency,
            above_minor=above_minor,
            up_to_minor=up_to_minor,
            group=group,
            quorum=quorum,
            expires_after_seconds=expires_after_seconds,
        )


def rules_position(tenant: str) -> int:
    """The position of the last rule that the tenant ever had; 0 for none."""
    last = Policy.objects.filter(tenant=tenant).aggregate(last=Max("position"))["last"]
    return last or 0


def retire_policy(policy: Policy) -> None:
    """Takes a rule out of force; gates that it opened keep it. Raises `PolicyRefused`."""
    count = Policy.objects.filter(pk=policy.pk, retired_at=None).update(retired_at=Now())
    if count != 1:
        raise PolicyRefused(f"The policy {policy.name!r} is retired already.")

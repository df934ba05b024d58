"""The policy of a tenant: its versions, and who puts one into force."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.db.models.functions import Now

from approvals import counting, limits, quorum
from approvals.errors import PolicyRefused
from approvals.models import Policy
from approvals.rules.document import normalise
from runs import canonical, prepared
from runs.canonical import CURRENCIES
from runs.declare import pointer
from runs.limits import MAX_AMOUNT_MINOR
from runs.models import Declaration

TAG = b"placet/policy/v1\0"
EMPTY: dict[str, Any] = {"v": 1, "rules": [], "lists": {}, "freezes": []}


def in_force(tenant: str) -> Policy | None:
    """The version that decides now; without one, everything that waits for people is held."""
    return Policy.objects.filter(tenant=tenant, retired_at=None).first()


def is_in_force(policy_id: Any) -> bool:
    """Whether no other version has taken its place, as of now: whatever locks were waited for."""
    with prepared.cursor() as cursor:
        cursor.execute("SELECT retired_at IS NULL FROM approvals_policy WHERE id = %s", [policy_id])
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def lock(tenant: str) -> None:
    """Requests of a tenant are evaluated one after the other until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('placet.policy'), hashtext(%s))", [tenant]
        )


def rules(tenant: str) -> list[dict[str, Any]]:
    """The rules in force, in the order in which they are tried."""
    policy = in_force(tenant)
    return [] if policy is None else list(policy.body["rules"])


def publish(*, tenant: str, document: dict[str, Any]) -> Policy:
    """Puts a document, in its normal form, into force in the place of the one before it.

    Gates keep the version that opened them. For the owner's role, and for the gatekeeper with
    a change that two admins have agreed to. Raises `PolicyRefused` for a document that has
    another form: by it nothing would pass, and nobody would know why until something is held.
    """
    check_form(document)
    encoded = canonical.encode(document)
    with transaction.atomic():
        Policy.objects.filter(tenant=tenant, retired_at=None).update(retired_at=Now())
        last = Policy.objects.filter(tenant=tenant).aggregate(last=Max("number"))["last"] or 0
        return Policy.objects.create(
            tenant=tenant, number=last + 1, document=encoded, digest=digest(encoded)
        )


def check_form(document: dict[str, Any]) -> None:
    """Raises `PolicyRefused` unless the document is what `normalise` makes of it."""
    if normalise(document) != document:
        raise PolicyRefused("The policy does not have its normal form.")


def check(tenant: str, document: dict[str, Any]) -> None:
    """What is looked at before a document is proposed, and again before it is put into force.

    Raises `PolicyRefused`: it has no normal form, or a rule in it that nobody could satisfy.
    """
    check_form(document)
    for rule in document["rules"]:
        missing = quorum.shortage(rule["then"], counting.askable(tenant, None, rule["then"]))
        if "block" not in rule["then"] and missing:
            have, need = missing.split("/")
            raise PolicyRefused(
                f"The rule {rule['name']!r} asks for {need} of"
                f" {quorum.asked_in_words(rule['then'])}, where there are {have}: nobody could"
                " satisfy it."
            )


def unheld(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The tools that a rule names, and of which nothing is declared that a gate could hold: where
    in the document (a JSON pointer), and a sentence.

    No fault: a rule may come before its tool. What is safe and has no secret is never declared.
    """
    named = [
        (number, tool)
        for number, rule in enumerate(document["rules"])
        for tool in rule["when"].get("tools", ())
    ]
    declared = Declaration.objects.filter(tool__in={tool for _, tool in named}, is_current=True)
    known = set(declared.values_list("tool", flat=True))
    return [
        (
            pointer(("rules", number, "when", "tools")),
            f"No tool {tool!r} with effects or a secret is declared. A safe one runs in the worker,"
            " where no gate holds it: this rule would never be asked about it.",
        )
        for number, tool in named
        if tool not in known
    ]


def carry_out(tenant: str, document: dict[str, Any]) -> None:
    """Publishes it, for the gatekeeper within a change: the database refuses it outside of one."""
    publish(tenant=tenant, document=document)


def digest(document: bytes) -> bytes:
    """SHA-256 over the domain tag and the canonical document."""
    return hashlib.sha256(TAG + document).digest()


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
    **consent: Any,
) -> Policy:
    """Publishes a version with one more rule, behind those that there are: payments by this
    tool, in this currency and band, need so many of this group. `consent` may say more of what
    is asked for (such as its tier). Raises `PolicyRefused`.
    """
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
    band = {"currency": currency, "above_minor": above_minor, "up_to_minor": up_to_minor}
    threshold = {
        "name": group,
        "group": group,
        "role": None,
        "count": quorum,
        "member_for_seconds": 0,
    }
    asked = {
        "tier": "confirm",
        "mode": "all",
        "thresholds": [threshold],
        "expires_after_seconds": expires_after_seconds,
        "remind_after_seconds": 0,
        "escalation": None,
        "cooling_off_seconds": 0,
        "dwell_seconds": 0,
    }
    rule = {
        "name": name,
        "when": {"tools": [tool], "amounts": [band]},
        "then": {"consent": asked | consent},
    }
    return add_rule(tenant, rule)


def add_rule(tenant: str, rule: dict[str, Any]) -> Policy:
    """Publishes a version with one more rule at the end. Raises `PolicyRefused`."""
    policy = in_force(tenant)
    document = EMPTY if policy is None else policy.body
    if any(other["name"] == rule["name"] for other in document["rules"]):
        raise PolicyRefused(f"The policy has a rule {rule['name']!r} already.")
    return publish(tenant=tenant, document=document | {"rules": [*document["rules"], rule]})


def remove_rule(tenant: str, name: str) -> Policy:
    """Publishes a version without this rule. Raises `PolicyRefused`."""
    policy = in_force(tenant)
    document = EMPTY if policy is None else policy.body
    left = [rule for rule in document["rules"] if rule["name"] != name]
    if len(left) == len(document["rules"]):
        raise PolicyRefused(f"The policy has no rule {name!r}.")
    return publish(tenant=tenant, document=document | {"rules": left})

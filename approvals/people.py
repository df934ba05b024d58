"""Who somebody is, as the safeguards see it: the human behind accounts, the role, the reason."""

from __future__ import annotations

from typing import Any

from approvals import limits
from approvals.errors import ReasonMissing
from runs.written import check_text

REVIEWER, AUDITOR, ADMIN, OPERATOR = "reviewer", "auditor", "admin", "operator"
"""The console's roles, as the Django groups that the locks look for."""


def human(person: Any) -> str:
    """What two accounts of one human have in common; `approvals_human` in the database.

    Accounts with the same e-mail address are one human, whatever the case of its letters.
    """
    address = str(person.email).strip(" ").lower()
    return f"address {address}" if address else f"person {person.pk}"


def has_role(person: Any, *roles: str) -> bool:
    """Whether this person is active and has one of the roles; `approvals_has_role`."""
    return bool(person.is_active and person.groups.filter(name__in=roles).exists())


def reason_of(typed: str, *, of: str, is_needed: bool = True) -> str:
    """The reason as it is kept. Raises `ReasonMissing`; `of` says what needs it: "A freeze"."""
    reason = typed.strip()
    if is_needed and not reason:
        raise ReasonMissing(f"{of} needs a reason, which others will read.")
    check_text(reason, what="reason", most=limits.MAX_REASON_CHARACTERS, refusal=ReasonMissing)
    return reason

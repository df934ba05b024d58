"""The policy of a tenant as people read it and draft it: its versions, and what a draft means.

A draft is a text and nothing else: no row is written before it is proposed, and what is
proposed is a change that a second admin must agree to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from approvals import policies
from approvals.errors import PolicyRefused
from approvals.models import Change, Policy
from approvals.rules import document as documents
from approvals.rules import replay, telling
from console import access
from console.models import User
from console.safeguards import changing

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What became of a text: the document in its normal form, or the faults that it has.

    A fault is where it is (a JSON pointer, empty for the whole) and what it is. A document may
    have one as well: it can be read, but somebody it asks for is not there. Warnings have the
    same form, and keep nobody from proposing it.
    """

    document: Document | None
    faults: Sequence[tuple[str, str]] = ()
    warnings: Sequence[tuple[str, str]] = ()

    @property
    def digest(self) -> str:
        """In hexadecimal; empty where there is no document."""
        return "" if self.document is None else documents.digest(self.document).hex()


def find_versions(person: User) -> QuerySet[Policy]:
    """The published versions of the tenant, the newest first; what they say is left out."""
    access.require(person, "policies.view")
    return Policy.objects.filter(tenant=person.tenant).defer("document").order_by("-number")


def access_version(person: User, number: int) -> Policy:
    """Raises `access.NotFound`."""
    version = find_versions(person).defer(None).filter(number=number).first()
    if version is None:
        raise access.NotFound("There is no such version.")
    return version


def document_of(version: Policy | None) -> Document:
    """What a version says; before the first one, nothing."""
    return policies.EMPTY if version is None else version.body


def version_before(version: Policy) -> Policy | None:
    """The version that this one took the place of."""
    return Policy.objects.filter(tenant=version.tenant, number=version.number - 1).first()


def look_at(tenant: str, given: str | Document) -> Draft:
    """Reads a draft, as YAML or JSON text or as a document, and says everything that is wrong."""
    try:
        made = _read(given)
    except documents.InvalidPolicy as refusal:
        return Draft(document=None, faults=tuple(refusal.errors))
    warnings = policies.unheld(made)
    try:
        policies.check(tenant, made)
    except PolicyRefused as refusal:
        return Draft(document=made, faults=(("", str(refusal)),), warnings=warnings)
    return Draft(document=made, warnings=warnings)


def _read(given: str | Document) -> Document:
    return documents.from_text(given) if isinstance(given, str) else documents.normalise(given)


def differences(old: Document, new: Document) -> list[telling.Difference]:
    return telling.diff(old, new)


def try_on_past(person: User, draft: Document) -> list[replay.Replayed]:
    """The newest requests of the tenant under the draft, beside the version in force."""
    access.require(person, "policies.view")
    return list(replay.simulate(tenant=person.tenant, draft=draft))


def propose(
    person: User,
    draft: Document,
    *,
    base: int,
    reason: str,
    request: HttpRequest | None = None,
) -> Change:
    """Proposes that the draft is published. `base` is the version that it was written from, 0
    where there was none.

    Raises `PolicyRefused` when another version has come into force since, or when the draft
    says nothing new; `access.Forbidden` and what `approvals.changes.propose` refuses with.
    """
    access.require(person, "changes.decide")
    current = policies.in_force(person.tenant)
    number = 0 if current is None else current.number
    if number != base:
        raise PolicyRefused(
            f"Version {number} has come into force since you began. Look at what differs from it"
            " now: what others have changed would be undone."
        )
    if document_of(current) == draft:
        raise PolicyRefused("The draft says what is in force already.")
    return changing.propose(
        person, kind="publish_policy", body=draft, reason=reason, request=request
    )


def basis_of(change: Change) -> Policy | None:
    """What a proposed policy is compared with: the version in force, or, once the change is
    closed, the one that was in force when it was proposed."""
    if change.status == Change.Status.OPEN:
        return policies.in_force(change.tenant)
    before = Policy.objects.filter(tenant=change.tenant, published_at__lte=change.proposed_at)
    return before.order_by("-number").first()

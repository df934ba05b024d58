"""The broker: a credential for one claimed step, for as long as its call lasts.

It fails closed. Each check that a step must pass is a sentence in `_refusals`, read from the
database and not from what the caller says; it is made before the vault is asked, and once
more, under the lock of the claim, in the transaction that writes the lease.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Func, Q
from django.db.models.fields import DateTimeField

from credentials import redaction, streams, vault
from credentials.errors import (
    InvalidSecret,
    NoVaultIdentity,
    VaultError,
    VaultForbidden,
    VaultNotFound,
)
from credentials.fields import check_fields
from credentials.models import Lease, Secret
from credentials.paths import vault_path
from credentials.scopes import is_in_scope
from credentials.values import SecretRef
from runs import canonical, reserved
from runs.effects import ClaimedStep
from runs.errors import CredentialRefused, CredentialUnavailable
from runs.models import Step, StepClaim


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What a tool is lent: the fields of its secret, and the means to keep them private."""

    secret: SecretRef

    def scrub(self, value: Any) -> Any:
        """`value` with every form of every held value taken out; to be called in the lease."""
        return redaction.scrub(value)


class VaultProvider:
    """Lends credentials out of the vault, under the identity of this process."""

    @contextmanager
    def lease(self, claimed: ClaimedStep) -> Iterator[Credential]:
        """The credential of a claimed step; its values are forgotten when the block ends.

        Raises CredentialRefused where the answer is no, and CredentialUnavailable where the
        vault could not answer: then nothing was attempted, and another try may go better.
        An exception that leaves the block leaves it scrubbed.

        This is where a warrant will be shown: it becomes part of `ClaimedStep`, and the read
        below becomes the unwrapping of what the vault wrapped for that warrant.
        """
        session = _reader()
        secret = _checked_secret(claimed)
        found = _read(session, secret)
        _record_lease(claimed, secret, found.version)
        redaction.guard_handlers()
        streams.guard_streams()
        reference = SecretRef(secret.path, found.fields)
        with redaction.holding(secret.path, found.fields):
            del found
            try:
                yield Credential(secret=reference)
            except BaseException as error:
                scrubbed = redaction.scrub_exception(error)
                if scrubbed is error:
                    raise
                raise scrubbed from None
            finally:
                reference.forget()


def _reader() -> vault.SecretReader:
    try:
        return vault.reader()
    except NoVaultIdentity as error:
        raise CredentialRefused(str(error)) from None


def _checked_secret(claimed: ClaimedStep) -> Secret:
    """The secret that the step may use now. Raises CredentialRefused."""
    step = _find_step(claimed)
    for refusal in _refusals(claimed, step):
        raise CredentialRefused(refusal)
    secret = Secret.objects.filter(tenant=claimed.tenant, path=claimed.secret).first()
    if secret is None:
        raise CredentialRefused(
            f"There is no secret {claimed.secret}: an admin has to write it first."
        )
    if not is_in_scope(tenant=claimed.tenant, tool=claimed.tool, secret=secret):
        raise CredentialRefused(
            f"The tool {claimed.tool} is not in the scope of the secret {claimed.secret}: "
            "an admin has to grant it."
        )
    return secret


def _find_step(claimed: ClaimedStep) -> Step | None:
    steps = Step.objects.select_related("declaration")
    return steps.filter(tenant=claimed.tenant, id=claimed.step_id, run_id=claimed.run_id).first()


def _refusals(claimed: ClaimedStep, step: Step | None) -> Iterator[str]:
    """Why the step may have no credential, if anything stands against it."""
    if step is None:
        yield "There is no such step."
        return
    if step.status != Step.Status.RUNNING:
        yield f"The step is {step.status}: only a running step gets a credential."
    if not _is_claim_live(claimed):
        yield "The claim on the step is lost: it ended, or somebody else holds it."
    if (step.name, step.attempt) != (claimed.tool, claimed.attempt):
        yield "The claim names another tool or another attempt than the step."
    if bytes(step.digest) != claimed.digest or step.key != claimed.key:
        yield "The claim names other arguments than the step."
    if not _declared_secret(step) or _declared_secret(step) != claimed.secret:
        yield f"The tool {step.name} does not declare the secret {claimed.secret!r}."
    if step.needs_consent and step.clearance_id is None:
        yield "The step moves money and has no clearance."
    if step.clearance_id != claimed.clearance_id:
        yield "The claim names another clearance than the step."


def _declared_secret(step: Step) -> str:
    """What the tool declares, with the arguments of the step where it leaves some open."""
    declared = str(step.declaration.body.get("secret", "")) if step.declaration else ""
    try:
        return reserved.secret_of(declared, canonical.decode(step.arguments))
    except ValueError:
        return ""


def _is_claim_live(claimed: ClaimedStep) -> bool:
    # The clock of the database, and not that of the transaction's beginning.
    now: Func = Func(function="clock_timestamp", output_field=DateTimeField())
    is_live = ExpressionWrapper(Q(expires_at__gt=now), output_field=BooleanField())
    return (
        StepClaim.objects.filter(
            tenant=claimed.tenant, step_id=claimed.step_id, fence=claimed.fence
        )
        .annotate(is_live=is_live)
        .filter(is_live=True)
        .exists()
    )


def _read(session: vault.SecretReader, secret: Secret) -> vault.SecretVersion:
    try:
        found = session.read(vault_path(secret.tenant, secret.path))
        # Another hand than ours may have written it: what cannot be scrubbed is not lent.
        check_fields(secret.path, found.fields)
    except (VaultForbidden, VaultNotFound, InvalidSecret) as error:
        raise CredentialRefused(str(error)) from None
    except VaultError as error:
        raise CredentialUnavailable(str(error)) from None
    return found


def _record_lease(claimed: ClaimedStep, secret: Secret, version: int) -> None:
    with transaction.atomic():
        claim = StepClaim.objects.select_for_update().filter(step_id=claimed.step_id)
        claim.first()
        _checked_secret(claimed)
        _, is_new = Lease.objects.get_or_create(
            tenant=claimed.tenant,
            step_id=claimed.step_id,
            fence=claimed.fence,
            defaults={"secret": secret, "version": version, "attempt": claimed.attempt},
        )
    if not is_new:
        raise CredentialRefused("The credential was already lent under this claim of the step.")

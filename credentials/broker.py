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

from credentials import redaction, streams, vault
from credentials.errors import (
    InvalidSecret,
    NoVaultIdentity,
    VaultError,
    VaultForbidden,
    VaultNotFound,
)
from credentials.fields import check_fields
from credentials.models import Secret
from credentials.paths import vault_path
from credentials.values import SecretRef
from runs import canonical, prepared, reserved
from runs.effects import ClaimedStep
from runs.errors import CredentialRefused, CredentialUnavailable
from runs.models import Declaration, Step, new_id
from runs.prepared import Columns

STEP, DECLARATION, SECRET = map(Columns, (Step, Declaration, Secret))
# Whether a claim lives is told by the clock of the database, and not by that of the transaction's
# beginning.
SEEN = f"""
    SELECT {STEP.of("s")}, {DECLARATION.of("d")}, {SECRET.of("x")},
        EXISTS (SELECT FROM runs_stepclaim c
                WHERE c.tenant = %(tenant)s AND c.step_id = %(step_id)s AND c.fence = %(fence)s
                  AND c.expires_at > clock_timestamp()),
        EXISTS (SELECT FROM credentials_scope o
                WHERE o.tenant = %(tenant)s AND o.tool = %(tool)s AND o.secret_id = x.id)
    FROM (VALUES (1)) AS one
    LEFT JOIN runs_step s
        ON s.id = %(step_id)s AND s.tenant = %(tenant)s AND s.run_id = %(run_id)s
    LEFT JOIN runs_declaration d ON d.digest = s.declaration_id
    LEFT JOIN credentials_secret x ON x.tenant = %(tenant)s AND x.path = %(secret)s
"""
LEASE = """
    INSERT INTO credentials_lease (id, tenant, secret_id, version, step_id, attempt, fence)
    VALUES (%(id)s, %(tenant)s, %(secret_id)s, %(version)s, %(step_id)s, %(attempt)s, %(fence)s)
    ON CONFLICT (tenant, step_id, fence) DO NOTHING
"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the rows say of a claimed step and of the secret that it names, at one moment."""

    step: Step | None
    secret: Secret | None
    is_claim_live: bool
    is_in_scope: bool


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
    seen = _see(claimed)
    for refusal in _refusals(claimed, seen):
        raise CredentialRefused(refusal)
    if seen.secret is None:
        raise CredentialRefused(
            f"There is no secret {claimed.secret}: an admin has to write it first."
        )
    if not seen.is_in_scope:
        raise CredentialRefused(
            f"The tool {claimed.tool} is not in the scope of the secret {claimed.secret}: "
            "an admin has to grant it."
        )
    return seen.secret


def _see(claimed: ClaimedStep) -> Seen:
    with prepared.cursor() as cursor:
        cursor.execute(SEEN, vars(claimed))
        row = cursor.fetchone()
    step, declaration, secret, is_claim_live, is_in_scope = prepared.split(
        row, STEP, DECLARATION, SECRET
    )
    if step is not None:
        step.declaration = declaration
    return Seen(step=step, secret=secret, is_claim_live=is_claim_live, is_in_scope=is_in_scope)


def _refusals(claimed: ClaimedStep, seen: Seen) -> Iterator[str]:
    """Why the step may have no credential, if anything stands against it."""
    step = seen.step
    if step is None:
        yield "There is no such step."
        return
    if step.status != Step.Status.RUNNING:
        yield f"The step is {step.status}: only a running step gets a credential."
    if not seen.is_claim_live:
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
    values = vars(claimed) | {"id": new_id(), "secret_id": secret.pk, "version": version}
    with transaction.atomic(), prepared.cursor() as cursor:
        cursor.execute(
            "SELECT FROM runs_stepclaim WHERE step_id = %s FOR UPDATE", [claimed.step_id]
        )
        _checked_secret(claimed)
        cursor.execute(LEASE, values)
        is_new = cursor.rowcount == 1
    if not is_new:
        raise CredentialRefused("The credential was already lent under this claim of the step.")

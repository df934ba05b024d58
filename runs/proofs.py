"""What must hold before a tool is called, and what it is lent: consent and credentials.

Two things are plugged in by the console, and without them nothing that needs them runs:
the verifier of consent (lock 4) and the provider of credentials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from runs import canonical, reserved
from runs.declare import TOOLS, Tool
from runs.errors import (
    ConsentMismatch,
    CredentialRefused,
    InvalidArguments,
    NotRegistered,
    PayloadTooLarge,
)
from runs.models import Step


@dataclass(frozen=True, kw_only=True)
class ClaimedStep:
    """What a provider of credentials is told about the step that asks."""

    tenant: str
    run_id: UUID
    step_id: UUID
    tool: str
    attempt: int
    fence: int
    digest: bytes
    key: str
    clearance_id: UUID | None
    secret: str


class Credential(Protocol):
    """A secret for the time of one attempt."""

    @property
    def secret(self) -> Mapping[str, str]: ...

    def scrub(self, value: Any) -> Any:
        """The value with every form of the secret replaced by its name."""
        ...


class CredentialProvider(Protocol):
    """Answers one question for a claimed, cleared step: its credential.

    A warrant (a token signed for this step, tool and digest) will be fetched by the
    provider itself from what `claimed` says; the engine never carries one.
    """

    def lease(self, claimed: ClaimedStep) -> AbstractContextManager[Credential]:
        """Raises `CredentialRefused`, or `CredentialUnavailable` where asking again may help."""
        ...


class Verifier(Protocol):
    """Lock 4: compares what is about to be sent with what was consented to."""

    def __call__(self, step: Step, tool: Tool, arguments: dict[str, Any]) -> None:
        """Raises `ConsentMismatch` with a sentence."""
        ...


class _NoSecret:
    secret: Mapping[str, str] = {}

    def scrub(self, value: Any) -> Any:
        return value


_provider: CredentialProvider | None = None
_verifier: Verifier | None = None


def plug_credentials(provider: CredentialProvider | None) -> None:
    """Names who answers for secrets."""
    global _provider
    _provider = provider


def plug_verifier(verifier: Verifier | None) -> None:
    """Names who proves consent before money moves."""
    global _verifier
    _verifier = verifier


def proven(step: Step) -> tuple[Tool, dict[str, Any]]:
    """The tool and the arguments that will be sent; raises unless both are what they must be.

    Raises `NotRegistered` or `ConsentMismatch`; then nothing was sent.
    """
    tool = TOOLS.get(step.name)
    if tool is None:
        raise NotRegistered(f"This executor knows no tool {step.name}.")
    if tool.declaration_digest != step.declaration_id:
        raise NotRegistered(
            f"The tool {step.name} was declared otherwise when this step was made; "
            "nothing was sent."
        )
    if step.effect != tool.effect:
        raise ConsentMismatch(f"{step.name} is {tool.effect}, but its step says {step.effect}.")
    if step.is_money != (tool.money is not None):
        raise ConsentMismatch(f"{step.name} moves money, but its step says otherwise.")
    try:
        arguments = canonical.decode(step.arguments)
        digest = canonical.step_digest(step.name, tool.arguments(arguments))
    except (InvalidArguments, PayloadTooLarge, ValueError, TypeError) as error:
        raise ConsentMismatch(
            f"The arguments of {step.name} are none that it takes ({error}); nothing was sent."
        ) from error
    if digest != bytes(step.digest):
        raise ConsentMismatch(f"The arguments of {step.name} are not those that were declared.")
    if step.needs_consent or tool.money is not None:
        if _verifier is None:
            raise ConsentMismatch(
                "Nothing is plugged in that could prove consent; nothing was sent."
            )
        _verifier(step, tool, arguments)
    return tool, arguments


@contextmanager
def lent(step: Step, tool: Tool, *, fence: int, attempt: int) -> Iterator[Credential]:
    """The credential of a tool that names a secret, for one attempt.

    Raises `CredentialRefused` or `CredentialUnavailable`.
    """
    if not tool.secret:
        yield _NoSecret()
        return
    if _provider is None:
        raise CredentialRefused(f"{tool.name} needs the secret {tool.secret}; no vault is set up.")
    try:
        secret = reserved.secret_of(tool.secret, canonical.decode(step.arguments))
    except ValueError as error:
        raise CredentialRefused(f"{tool.name}: {error}") from None
    claimed = ClaimedStep(
        tenant=step.tenant,
        run_id=step.run_id,
        step_id=step.id,
        tool=tool.name,
        attempt=attempt,
        fence=fence,
        digest=bytes(step.digest),
        key=step.key,
        clearance_id=step.clearance_id,
        secret=secret,
    )
    with _provider.lease(claimed) as credential:
        yield credential

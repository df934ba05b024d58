"""The processes with their identities in the vault, and the ways to a claimed step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.test import override_settings

from credentials.models import Secret
from credentials.scopes import grant_scope
from credentials.secrets import write_secret
from runs import effects, holders, registry, transitions
from runs.effects import ClaimedStep
from runs.models import Step
from tests.credentials import tools
from tests.harness import World, as_role
from tests.servers import Servers

CANARY = "sk_canary_9b2e/+/77=="


def declare_tools() -> None:
    """Registers the tools of these tests, as those of any author are."""
    assert tools.wire_out.is_remote
    with as_role("placet_owner"):
        registry.register(registry.collect())


@contextmanager
def acting_as(servers: Servers, process: str) -> Iterator[None]:
    """This process as another: its database role, and its identity in the vault or none."""
    environment = servers.environment(process)
    identity = {
        name: environment.get(name, "")
        for name in ("PLACET_VAULT_ADDR", "PLACET_VAULT_ROLE_ID", "PLACET_VAULT_SECRET_ID")
    }
    with as_role(f"placet_{process}"), override_settings(**identity):
        yield


def make_secret(room: World) -> Secret:
    with acting_as(room.servers, "web"):
        made = write_secret(
            tenant=room.tenant,
            path="bank/payments",
            fields={"api_key": CANARY},
            description="The key of the bank",
            person=room.erin,
        )
        for tool in ("read_balance", "blab", "wire_out"):
            grant_scope(tenant=room.tenant, tool=tool, secret=made, person=room.erin)
    return made


def execute(room: World) -> int:
    """Everything that an executor with its identity would do now."""
    with acting_as(room.servers, "executor"):
        return effects.drain()


def claim(step: Step) -> ClaimedStep:
    """Claims a ready step as an executor does; gives what the provider is told of it."""
    with as_role("placet_executor"):
        claimed = transitions.start_step(step.id, holder=holders.me(), seconds=30)
    return ClaimedStep(
        tenant=step.tenant,
        run_id=step.run_id,
        step_id=step.id,
        tool=step.name,
        attempt=claimed.attempt,
        fence=claimed.stepclaim.fence,
        digest=bytes(step.digest),
        key=step.key,
        clearance_id=step.clearance_id,
        secret="bank/payments",
    )


def claim_reading(room: World) -> ClaimedStep:
    run = room.start("reading")
    room.work()
    (step,) = room.steps(run)
    return claim(step)


def claim_cleared(room: World) -> ClaimedStep:
    run = room.start("wiring", amount_minor=500)
    room.work()
    room.keep_gates()
    room.approve_all(run)
    room.keep_gates()
    (step,) = room.steps(run)
    return claim(step)

"""Payments with a name beside their account, made or refused by all processes, at any time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from approvals.models import Gate
from runs import Money, registry, tool, workflow
from tests.harness import World, admin, as_role

ACCOUNT = "DE89370400440532013000"
OTHER_ACCOUNT = "NL91ABNA0417164300"


@tool(
    effect="keyed",
    money=Money(amount="amount_minor", currency="currency", payee="iban", payee_name="creditor"),
)
def transfer(
    call: Any, *, iban: str, amount_minor: int, currency: str, creditor: str, note: str
) -> dict[str, Any]:
    """Pays somebody who has a name."""
    return {"paid": amount_minor}


@workflow("transferring", version=1, agent="clerk")
def transferring(run: Any, *, payments: list[dict[str, Any]]) -> Any:
    """Asks for all of them at once."""
    calls = [run.prepare(transfer, **payment) for payment in payments]
    return [str(outcome) for outcome in run.gather(calls, return_exceptions=True)]


def prepare() -> None:
    """Once a session: what is declared here, beside the zoo."""
    with as_role("placet_owner"):
        registry.register(registry.collect())


def publish(world: World) -> None:
    """Rules for `transfer` in two currencies."""
    for currency in ("EUR", "GBP"):
        world.policy(tool="transfer", currency=currency, name=f"Transfers in {currency}")


def payment(amount_minor: int = 1000, **changed: Any) -> dict[str, Any]:
    plain = {"iban": ACCOUNT, "currency": "EUR", "creditor": "ACME", "note": "rent"}
    return {"amount_minor": amount_minor, **plain, **changed}


def ask(world: World, *payments: dict[str, Any]) -> list[Gate]:
    """A run that waits at a gate for each."""
    run = world.start("transferring", payments=list(payments or [payment()]))
    world.settle()
    return world.gates(run)


def made(world: World, amount_minor: int = 1000, *, days_ago: float = 10, **changed: Any) -> Gate:
    """A payment that was approved and made, so many days ago."""
    (gate,) = ask(world, payment(amount_minor, **changed))
    world.decide(gate, world.bob)
    world.settle()
    set_back(gate, days_ago)
    gate.refresh_from_db()
    assert (gate.status, gate.step.status) == ("approved", "succeeded")
    return gate


def set_back(gate: Gate, days: float) -> None:
    """Moves the end of a gate and of its step into the past, behind the guards."""
    with admin() as superuser:
        superuser.execute("SET session_replication_role = replica")
        for table, column, id in (
            ("approvals_gate", "closed_at", gate.id),
            ("runs_step", "finished_at", gate.step_id),
        ):
            superuser.execute(
                f"UPDATE {table} SET {column} = {column} - %s WHERE id = %s",
                [timedelta(days=days), id],
            )

"""The demo, complete but for the pages: real bank, real vault, real roles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.test import override_settings

from approvals.models import Gate
from console.composition import compose_executor
from credentials.secrets import grant_scope, write_secret
from runs import effects
from runs.models import Run
from tests.demo.bank_process import BankProcess
from tests.demo.documents import Document
from tests.harness import World, as_role
from tests.servers import Servers

SETTLE_SECONDS = 60.0


class Demo:
    """A world with the sample bank in it, a folder of invoices, and rules for its payments."""

    def __init__(self, world: World, bank: BankProcess, folder: Path) -> None:
        self.world, self.bank, self.folder = world, bank, folder

    def put(self, name: str, document: Document) -> None:
        (self.folder / name).write_bytes(document.xml())

    def start(self, folder: str = ".") -> Run:
        """A run of `pay_invoices`, worked on until it waits for people or has ended."""
        run = self.world.start("pay_invoices", folder=folder)
        self.settle()
        return run

    def settle(self) -> None:
        with vault_identity(self.world.servers, "executor"):
            self.world.settle()

    def gates(self, run: Run) -> list[Gate]:
        return self.world.gates(run)

    def finish(self, run: Run) -> dict[str, Any]:
        """The run's report, once its retries and all else have come to an end."""
        until = time.monotonic() + SETTLE_SECONDS
        while self.world.run_now(run).finished_at is None:
            assert time.monotonic() < until, self.world.run_now(run).waiting_for
            self.settle()
            time.sleep(0.05)
        ended = self.world.run_now(run)
        assert ended.status == "succeeded", ended.error
        return dict(self.world.result(run))


@contextmanager
def vault_identity(servers: Servers, process: str) -> Iterator[None]:
    """The vault identity of a process, for as long as the test plays that process."""
    given = servers.environment(process)
    names = ("PLACET_VAULT_ADDR", "PLACET_VAULT_ROLE_ID", "PLACET_VAULT_SECRET_ID")
    with override_settings(**{name: given[name] for name in names}):
        yield


@contextmanager
def playing(world: World, tmp_path: Path) -> Iterator[Demo]:
    """Rules, a bank and its key for the length of a test."""
    for currency in ("EUR", "GBP", "SEK"):
        for above, up_to, quorum in ((0, 1_000_000, 1), (1_000_000, 100_000_000, 2)):
            world.policy(
                name=f"{currency} up to {up_to}",
                tool="send_payment",
                currency=currency,
                above_minor=above,
                up_to_minor=up_to,
                quorum=quorum,
            )
    folder = tmp_path / "invoices"
    folder.mkdir()
    with BankProcess(tmp_path / "bank") as bank:
        _give_key(world, bank.api_key)
        compose_executor()
        with override_settings(PLACET_DEMO_BANK_URL=bank.url, PLACET_DEMO_INVOICES=str(folder)):
            yield Demo(world, bank, folder)
        effects.plug_credentials(None)


def _give_key(world: World, api_key: str) -> None:
    with vault_identity(world.servers, "web"), as_role("placet_web"):
        secret = write_secret(
            tenant=world.tenant,
            path="bank/payments",
            fields={"api_key": api_key},
            description="The API key of the sample bank",
            person=world.erin,
        )
        for tool in ("send_payment", "already_paid"):
            grant_scope(tenant=world.tenant, tool=tool, secret=secret, person=world.erin)

"""The servers that somebody names by URL, in place of the embedded ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from console.embedded.errors import CannotStart
from console.embedded.ports import answers


@dataclass(frozen=True, kw_only=True)
class Named:
    """An empty string means: start the embedded one."""

    database_url: str = ""
    broker_url: str = ""
    live_url: str = ""
    vault_addr: str = ""
    vault_token: str = ""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] | None = None) -> Named:
        given = os.environ if variables is None else variables
        broker = given.get("PLACET_BROKER_URL", "")
        # Live updates travel over Redis or Valkey only; RabbitMQ as the broker cannot carry them.
        live = given.get("PLACET_LIVE_URL", "") or (broker if broker.startswith("redis") else "")
        return cls(
            database_url=given.get("PLACET_DATABASE_URL", ""),
            broker_url=broker,
            live_url=live,
            vault_addr=given.get("PLACET_VAULT_ADDR", "").rstrip("/"),
            vault_token=given.get("PLACET_VAULT_TOKEN", ""),
        )

    @property
    def needs_valkey(self) -> bool:
        return not (self.broker_url and self.live_url)

    def check(self) -> None:
        """Raise CannotStart for the first named server that does not answer."""
        for variable, url, port in (
            ("PLACET_DATABASE_URL", self.database_url, 5432),
            ("PLACET_BROKER_URL", self.broker_url, 6379),
            ("PLACET_LIVE_URL", self.live_url, 6379),
            ("PLACET_VAULT_ADDR", self.vault_addr, 8200),
        ):
            if url:
                _check(variable, url, port)


def _check(variable: str, url: str, default_port: int) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise CannotStart(f"{variable} is not a URL with a host; see docs/reference/settings.md.")
    if port is None:
        port = {"https": 443, "http": 80, "amqp": 5672, "amqps": 5671}.get(
            parts.scheme, default_port
        )
    if not answers(port, host):
        raise CannotStart(
            f"Nothing answers at {host}:{port}, which {variable} names; "
            "start that server, or leave the variable out to use the embedded one."
        )

"""The three servers of one home: embedded, or named by URL."""

from __future__ import annotations

import json
from collections.abc import Mapping

import psycopg

from console.embedded.errors import CannotStart
from console.embedded.files import write_private
from console.embedded.home import Home
from console.embedded.named import Named
from console.embedded.postgres import Postgres
from console.embedded.roles import ensure_database, ensure_roles, keep_passwords, url_for
from console.embedded.server import Server
from console.embedded.valkey import Valkey
from console.embedded.vault import Vault

DATABASE = "placet"


class Servers:
    """Starts, stops and prepares the servers; knows their URLs. Needs the home's lock."""

    def __init__(self, home: Home, named: Named, mark: Mapping[str, str]) -> None:
        self.home = home
        self.named = named
        self.mark = mark
        ports = home.ports(("postgres", "valkey", "vault"))
        self.postgres = Postgres(
            directory=home.path / "postgres",
            log=home.logs / "postgres.log",
            port=ports["postgres"],
            mark=mark,
            password=home.secret("postgres-password"),
        )
        self.valkey = Valkey(
            directory=home.path / "valkey",
            log=home.logs / "valkey.log",
            port=ports["valkey"],
            mark=mark,
            password=home.secret("valkey-password"),
        )
        self.vault = Vault(
            directory=home.path / "vault",
            log=home.logs / "vault.log",
            port=ports["vault"],
            mark=mark,
            keys=home.keys,
        )

    @property
    def embedded(self) -> list[Server]:
        """The ones that run here, in the order in which they stop."""
        wanted: list[tuple[Server, bool]] = [
            (self.valkey, self.named.needs_valkey),
            (self.vault, not self.named.vault_addr),
            (self.postgres, not self.named.database_url),
        ]
        return [server for server, is_wanted in wanted if is_wanted]

    def start(self) -> None:
        """Start all together and wait for all; after a failure none is left running."""
        self.named.check()
        try:
            for server in self.embedded:
                server.spawn()
            for server in self.embedded:
                server.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for server in self.embedded:
            server.stop()

    @property
    def admin_url(self) -> str:
        """The database, entered as a role that may create roles."""
        return self.named.database_url or self.postgres.url(DATABASE)

    def database_url(self, role: str) -> str:
        passwords = keep_passwords(self.home.keys / "database-roles.json")
        return url_for(self.admin_url, role, passwords[role])

    @property
    def broker_url(self) -> str:
        return self.named.broker_url or self.valkey.url(0)

    @property
    def live_url(self) -> str:
        return self.named.live_url or self.valkey.url(1)

    @property
    def vault_addr(self) -> str:
        return self.named.vault_addr or self.vault.address

    def prepare(self) -> None:
        """Roles and database, and the vault's store, policies and identities. Idempotent."""
        self._prepare_vault()
        try:
            if not self.named.database_url:
                ensure_database(self.postgres.url(), DATABASE)
            ensure_roles(self.admin_url, keep_passwords(self.home.keys / "database-roles.json"))
        except psycopg.Error as error:
            raise CannotStart(f"PostgreSQL refused the set-up: {error}".splitlines()[0]) from error

    def vault_identities(self) -> dict[str, dict[str, str]]:
        """By process: its role id and secret id; empty before `prepare`."""
        path = self.vault.identities_file
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _prepare_vault(self) -> None:
        # Only here, because whoever merely starts servers needs no client of the vault.
        from credentials import vault
        from credentials.errors import VaultError

        kept = self.vault_identities()
        token = self.named.vault_token if self.named.vault_addr else self.vault.root_token
        if not token:
            if kept:
                return
            raise CannotStart(
                "PLACET_VAULT_ADDR names a vault of yours: the first start needs "
                "PLACET_VAULT_TOKEN as well, to write its policies; later ones do not."
            )
        try:
            identities = vault.bootstrap(self.vault_addr, token, kept)
        except VaultError as error:
            raise CannotStart(f"The vault could not be prepared: {error}") from error
        if identities != kept:
            write_private(self.vault.identities_file, json.dumps(identities))

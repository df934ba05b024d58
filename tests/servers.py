"""Real servers for the tests: all three, in a home of their own, before Django is set up."""

from __future__ import annotations

from pathlib import Path

from console.embedded import environments
from console.embedded.home import Home
from console.embedded.named import Named
from console.embedded.postgres import Postgres
from console.embedded.servers import Servers as Embedded
from console.embedded.valkey import Valkey
from console.embedded.vault import Vault


class Servers:
    """Started by `start`. Each server stops, is killed and starts again on its port and data."""

    def __init__(self, embedded: Embedded, mark: dict[str, str]) -> None:
        self._embedded = embedded
        self._mark = mark
        self.home: Path = embedded.home.path
        self.postgres: Postgres = embedded.postgres
        self.valkey: Valkey = embedded.valkey
        self.vault: Vault = embedded.vault

    def database_url(self, role: str) -> str:
        """The database `placet`, entered as `role` (for example "placet_worker")."""
        return self._embedded.database_url(role)

    @property
    def admin_url(self) -> str:
        """The database `placet`, entered as the superuser of the cluster."""
        return self._embedded.admin_url

    def environment(self, process: str, *, bank_url: str = "") -> dict[str, str]:
        """Everything that `process` starts with: its surroundings and its own credentials."""
        part = environments.environments(self._embedded, bank_url)[process]
        return environments.surroundings(self.home, process, self._mark) | part

    def stop(self) -> None:
        self._embedded.stop()


def start(home: Path) -> Servers:
    """Start all servers in `home`, prepare roles, database and vault, write environment.json.

    Call it from the main thread: the servers end with the thread that started them.
    """
    place = Home(home)
    place.make()
    mark = place.renew_mark()
    embedded = Embedded(place, Named(), mark)
    embedded.start()
    try:
        embedded.prepare()
        place.write_environments(environments.environments(embedded))
    except BaseException:
        embedded.stop()
        raise
    return Servers(embedded, mark)

"""The one-off part of a start, which is safe to repeat: servers' contents, then the database's.

Two parties do it: the holder of the administrators' credentials prepares roles and vault,
then a process that is the owner of the schema (`manage.py setup --as-owner`) migrates it,
sets the rights, and fills in the seal key and the demo.
"""

from __future__ import annotations

import re
from pathlib import Path

from console.embedded.environments import environments, surroundings
from console.embedded.errors import NO_SPACE, CannotStart, from_os_error, full_disk
from console.embedded.home import Home
from console.embedded.named import Named
from console.embedded.processes import end, spawn
from console.embedded.programs import MANAGE
from console.embedded.server import last_line
from console.embedded.servers import Servers
from console.home import BASE_DIR
from console.home import home as home_path

OWNER_SECONDS = 600
ERROR_LINE = re.compile(r"[\w.]*(Error|Exception|Configured)\b.*: ")


def prepare_servers(servers: Servers, bank_url: str = "") -> dict[str, dict[str, str]]:
    """Roles, vault, `environment.json`; gives what each process is told."""
    servers.prepare()
    written = environments(servers, bank_url)
    servers.home.write_environments(written)
    return written


def prepare_database(
    servers: Servers, written: dict[str, dict[str, str]], *, with_demo: bool = False
) -> None:
    """Migrations, rights, seal key and demo, by a process of the owner's."""
    home = servers.home
    environment = {
        **surroundings(home.path, "owner", servers.mark),
        **written["owner"],
        # The demo's secret is written as a person would write it: by the identity of the web.
        **servers.vault_identities().get("web", {}),
    }
    command = [*MANAGE, "setup", "--as-owner", *(["--demo"] if with_demo else [])]
    log = home.logs / "setup.log"
    with log.open("wb") as output:
        process = spawn(command, environment=environment, output=output, cwd=BASE_DIR)
        try:
            code = process.wait(OWNER_SECONDS)
        finally:
            end(process, within_seconds=5)
    if code:
        raise _failure(servers, _reason(log))


def _reason(log: Path) -> str:
    """The line that names the error; advice on how to go on may follow it."""
    for line in reversed(log.read_text(errors="replace").splitlines()):
        if ERROR_LINE.match(line):
            return line
    return last_line(log)


def _failure(servers: Servers, last: str) -> CannotStart:
    if NO_SPACE in last:
        return full_disk(servers.home.path)
    return CannotStart(
        f"The database could not be prepared: {last} (all of it: {servers.home.logs / 'setup.log'})"
    )


def set_up() -> None:
    """Everything but the processes; the servers that run here are stopped again."""
    home = Home(home_path())
    home.make()
    try:
        with home.locked():
            servers = Servers(home, Named.from_environment(), home.renew_mark())
            try:
                servers.start()
                prepare_database(servers, prepare_servers(servers))
            finally:
                servers.stop()
    except OSError as error:
        raise from_os_error(error, home.path) from error

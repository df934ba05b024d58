"""`make up`: everything started, watched, and stopped again."""

from __future__ import annotations

import ipaddress
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from console.embedded import programs
from console.embedded.environments import LOOPBACK_HOSTS, surroundings
from console.embedded.errors import CannotStart, from_os_error, full_disk
from console.embedded.home import Home
from console.embedded.members import LoggedMember, ServerMember
from console.embedded.named import Named
from console.embedded.output import Output
from console.embedded.ports import answers, why_not_free
from console.embedded.servers import Servers
from console.embedded.setup import prepare_database, prepare_servers
from console.embedded.supervisor import StopAsked, Supervisor
from console.embedded.walls import REFUSED, can_wall, walled
from console.home import BASE_DIR
from console.home import home as home_path

CELERY = ("gatekeeper", "worker", "executor")
BANK = "bank"
BANK_SECONDS = 15
NUMBERED = ("127.0.0.1", "::1")
READY_SECONDS = 30
WELCOME = """\
Placet runs at {address}
{passkeys}{sign_in}
Ctrl-C stops everything."""
PASSKEYS = """\
Passkeys need a name; they work at http://localhost:{port}/
"""
DEMO_SIGN_IN = """
  Sign in as    alice         she starts runs
                bob, carol    they review and decide on payments
                dave          he audits
                erin, frank   they administer secrets, people and rules
  Password      {password}    (for all six; kept in {file})
"""
EMPTY_SIGN_IN = """
  There is no demo. Make a first person with
  ./manage.py person --help
"""
OPEN_WARNING = (
    "It listens on {host} without TLS: passwords travel readable for others on the way. "
    "Put a proxy with TLS in front and set PLACET_TLS=1."
)


def up() -> None:
    """Run until a signal asks to stop. Raises CannotStart with the sentence to print."""
    os.umask(0o077)
    if not sys.platform.startswith("linux"):
        raise CannotStart("`make up` runs on Linux only; elsewhere, run it in a Linux container.")
    home = Home(home_path())
    home.make()
    try:
        with home.locked():
            Up(home).run()
    except OSError as error:
        raise from_os_error(error, home.path) from error
    except CannotStart as error:
        # Each server has its own words for a full disk, and some have none.
        if home.is_full():
            raise full_disk(home.path) from error
        raise


class Up:
    """One life of a running Placet, inside the lock of its home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.host = os.environ.get("PLACET_HOST") or "127.0.0.1"
        self.port = port_from_environment()
        self.trusted_proxies = trusted_proxies_from_environment()
        self.is_demo = os.environ.get("PLACET_DEMO", "1") != "0"
        self.output = Output()
        self.supervisor = Supervisor(self.output)
        self.started_at = time.monotonic()
        self.is_welcomed = False

    def run(self) -> None:
        self._check_port()
        self.mark = self.home.renew_mark()
        self.servers = Servers(self.home, Named.from_environment(), self.mark)
        with self.supervisor.catching_signals():
            try:
                self._start()
                self.supervisor.run(self._welcome_once)
            except StopAsked:
                pass
            finally:
                self._stop()

    def _check_port(self) -> None:
        reason = why_not_free(self.port, self.host)
        if reason:
            raise CannotStart(
                f"Port {self.port} on {self.host} cannot be used ({reason}); stop what listens "
                "there, or choose another with PLACET_PORT, or another address with PLACET_HOST."
            )

    def _start(self) -> None:
        names = ", ".join(server.name for server in self.servers.embedded)
        self.output.say(f"Starting {names or 'with servers of yours'} in {self.home.path}.")
        self.servers.start()
        for server in self.servers.embedded:
            self.supervisor.adopt(ServerMember(server.name, server))
        bank_url = self._start_bank() if self.is_demo else ""
        self.output.say("Preparing the database and the vault.")
        written = prepare_servers(self.servers, bank_url)
        prepare_database(self.servers, written, with_demo=self.is_demo)
        is_walled = can_wall(self.home.path)
        if not is_walled:
            self.output.say(REFUSED.format(home=self.home.path))
        for process in CELERY:
            self._start_celery(process, written[process], is_walled=is_walled)
        self._add("web", programs.web(self.host, self.port, self.trusted_proxies), written["web"])

    def _start_bank(self) -> str:
        port = self.home.ports((BANK,))[BANK]
        self._add(BANK, programs.bank(str(self.home.path / BANK), port), {})
        self._await(lambda: answers(port), f"The sample bank did not answer on port {port}.")
        return f"http://127.0.0.1:{port}"

    def _await(self, is_done: Callable[[], bool], otherwise: str) -> None:
        for _ in range(BANK_SECONDS * 10):
            if is_done():
                return
            self.supervisor.show_output(0.1)
        raise CannotStart(otherwise)

    def _start_celery(self, process: str, environment: dict[str, str], *, is_walled: bool) -> None:
        command = programs.celery(process)
        if is_walled:
            command = walled(command, self.home.path)
        self._add(
            process,
            command,
            environment,
            is_walled=is_walled,
            ready_line=programs.CELERY_IS_READY,
        )

    def _add(
        self,
        name: str,
        command: programs.Command,
        environment: dict[str, str],
        *,
        is_walled: bool = False,
        ready_line: str = "",
    ) -> None:
        member = LoggedMember(
            name,
            command,
            environment={**surroundings(self.home.path, name, self.mark), **environment},
            cwd=BASE_DIR,
            show=self.output.line,
            is_walled=is_walled,
            ready_line=ready_line,
        )
        self.supervisor.start(member)

    def _welcome_once(self) -> None:
        if self.is_welcomed or not self._is_ready():
            return
        self.is_welcomed = True
        sign_in = EMPTY_SIGN_IN
        if self.is_demo:
            sign_in = DEMO_SIGN_IN.format(
                password=self.home.demo_password(), file=shown(self.home.path / "demo-password")
            )
        address = f"http://{bracketed(self.reachable_host)}:{self.port}/"
        # Browsers make passkeys for names alone, and without TLS for this one only.
        passkeys = PASSKEYS.format(port=self.port) if self.reachable_host in NUMBERED else ""
        told = WELCOME.format(address=address, passkeys=passkeys, sign_in=sign_in)
        self.output.block(told)
        if self.host not in LOOPBACK_HOSTS and os.environ.get("PLACET_TLS") != "1":
            self.output.say(OPEN_WARNING.format(host=self.host))

    def _is_ready(self) -> bool:
        """All processes said so and the web answers; or the web alone, after a while."""
        logged = [m for m in self.supervisor.members if isinstance(m, LoggedMember)]
        is_late = time.monotonic() > self.started_at + READY_SECONDS
        if not is_late and not all(member.is_ready for member in logged):
            return False
        return is_answering(self.reachable_host, self.port)

    @property
    def reachable_host(self) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    def _stop(self) -> None:
        """Who writes stops first, what is written to stops last."""
        self.output.say("Stopping.")
        self.supervisor.stop("web", *CELERY)
        self.supervisor.stop(BANK)
        self.servers.stop()
        self.output.say("Stopped; everything is kept in " + shown(self.home.path) + ".")


def port_from_environment() -> int:
    given = os.environ.get("PLACET_PORT") or "8000"
    if not given.isdecimal() or not 0 < int(given) < 65_536:
        raise CannotStart(f"PLACET_PORT is {given!r}; it must be a number from 1 to 65535.")
    return int(given)


def trusted_proxies_from_environment() -> str:
    given = [part.strip() for part in os.environ.get("PLACET_TRUSTED_PROXIES", "").split(",")]
    for part in filter(None, given):
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise CannotStart(
                f"PLACET_TRUSTED_PROXIES names {part!r}, which is no address of a proxy."
            ) from None
    return ",".join(filter(None, given))


def is_answering(host: str, port: int) -> bool:
    """Whether the web answers at all: any status will do."""
    if not answers(port, host):
        return False
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://{bracketed(host)}:{port}/", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def shown(path: Path) -> str:
    """Short, where it lies below the directory in which somebody typed `make up`."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)

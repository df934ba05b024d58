"""The home directory: private, locked by one supervisor at a time, and the keys in it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from console.embedded.errors import CannotStart, from_os_error
from console.embedded.files import keep_secret, write_private
from console.embedded.ports import find_free
from console.embedded.processes import MARK, end_marked

FIRST_START_BYTES = 300_000_000
LATER_START_BYTES = 50_000_000
FULL_BYTES = 1_000_000


class Home:
    """The paths below `PLACET_HOME`; every secret in it is made on its first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys = path / "keys"
        self.logs = path / "logs"

    def make(self) -> None:
        try:
            self._check_is_ours()
            # Nothing is collected there, but the web warns of a directory that is not there.
            static = self.path / "static"
            for directory in (self.path, self.keys, self.logs, static):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                directory.chmod(0o700)
            write_private(self.path / "writable", "")
            (self.path / "writable").unlink()
            self._check_space()
        except OSError as error:
            raise from_os_error(error, self.path) from error

    def _check_is_ours(self) -> None:
        """It becomes private, and hidden from agents' code: nobody else's things may be in it."""
        if not self.path.is_dir() or self.keys.exists() or not any(self.path.iterdir()):
            return
        raise CannotStart(
            f"PLACET_HOME names {self.path}, which holds other things; "
            "name an empty directory, or one that is not there yet."
        )

    def _check_space(self) -> None:
        is_first = not (self.path / "postgres" / "data").exists()
        wanted = FIRST_START_BYTES if is_first else LATER_START_BYTES
        free = shutil.disk_usage(self.path).free
        if free < wanted:
            raise CannotStart(
                f"The disk that holds {self.path} has {free // 1_000_000} MB left and "
                f"{wanted // 1_000_000} MB are needed; free some space and start again."
            )

    def is_full(self) -> bool:
        return shutil.disk_usage(self.path).free < FULL_BYTES

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory; raises CannotStart with who holds it already."""
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise CannotStart(
                    f"Placet runs already on {self.path} (process {holder}); "
                    "stop it first, or name another directory with PLACET_HOME."
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield
            lock.truncate(0)

    def renew_mark(self) -> dict[str, str]:
        """End what a killed supervisor left behind; return the mark for this one's children."""
        path = self.path / "mark"
        if path.exists():
            end_marked(path.read_text().strip())
        mark = secrets.token_hex(16)
        write_private(path, mark)
        return {MARK: mark}

    def secret(self, name: str) -> str:
        return keep_secret(self.keys / name)

    def demo_password(self) -> str:
        """Easy to type and with 64 bits of chance: printed at each start while the demo is on."""
        path = self.path / "demo-password"
        if not path.exists():
            write_private(path, "-".join(secrets.token_hex(2) for _ in range(4)))
        return path.read_text().strip()

    def ports(self, names: tuple[str, ...]) -> dict[str, int]:
        """A port for each name: the one of the last start, unless somebody else took it."""
        path = self.path / "ports.json"
        kept: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        ports: dict[str, int] = {}
        for name in names:
            port = find_free(kept.get(name))
            while port in ports.values():
                port = find_free()
            ports[name] = port
        if ports != {name: kept.get(name) for name in names}:
            write_private(path, json.dumps({**kept, **ports}, indent=1))
        return ports

    def write_environments(self, environments: Mapping[str, Mapping[str, str]]) -> None:
        write_private(self.path / "environment.json", json.dumps(environments, indent=1))

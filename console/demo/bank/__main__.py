"""`python -m console.demo.bank --home DIR --port N [--api-key-file FILE]`"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sqlite3
import sys
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from console.demo.bank.keys import keep_api_key
from console.demo.bank.ledger import Ledger
from console.demo.bank.service import Bank


class DroppableProtocol(H11Protocol):
    """Shows a handler the connection itself, so that it can be dropped without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m console.demo.bank", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="where the ledger lies")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--api-key-file", type=Path, help="instead of HOME/api-key")
    asked = parser.parse_args()
    try:
        asked.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = keep_api_key(asked.api_key_file or asked.home / "api-key")
        ledger = Ledger(asked.home / "ledger.sqlite3")
    except (OSError, sqlite3.Error) as error:
        sys.exit(f"The sample bank cannot keep its ledger in {asked.home}: {error}.")
    if not key:
        sys.exit("The sample bank's API key is empty; remove its file to have a new one made.")
    config = uvicorn.Config(
        Bank(ledger=ledger, api_key=key).application(),
        http=DroppableProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        use_colors=False,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    opened = listening(asked.port)
    print(f"The sample bank shows its ledger at http://127.0.0.1:{asked.port}/", flush=True)
    uvicorn.Server(config).run(sockets=[opened])


def listening(port: int) -> socket.socket:
    """A socket on loopback: nobody but this machine has business with the sample bank."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        sys.exit(f"The sample bank cannot listen on port {port}: {error}.")
    return opened


if __name__ == "__main__":
    main()

"""The sample bank as a real process: started, killed and started again on its ledger."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

CHECKOUT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0
ORDER: dict[str, Any] = {
    "iban": "DE89370400440532013000",
    "amount_minor": 148_750,
    "currency": "EUR",
    "reference": "FH-2026-0417",
    "creditor": "Fernhill Gartenbau GmbH",
}


class BankProcess:
    """`start`, `kill` and `stop`; the port and the ledger stay the same."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def api_key(self) -> str:
        return (self.home / "api-key").read_text().strip()

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PLACET_")}
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "console.demo.bank",
                    "--home",
                    str(self.home),
                    "--port",
                    str(self.port),
                ],
                cwd=CHECKOUT,
                env=environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            log_text = (self.home / "log").read_text()
            assert self._process.poll() is None, f"The bank ended: {log_text}"
            assert time.monotonic() < deadline, f"The bank did not answer: {log_text}"
            time.sleep(0.05)

    def kill(self) -> None:
        """`kill -9`, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pay(
        self, key: str | None, order: Any = None, *, api_key: str | None = None, **changes: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {api_key or self.api_key}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        body = {**ORDER, **changes} if order is None else order
        return httpx.post(f"{self.url}/payments", json=body, headers=headers, trust_env=False)

    def payments(self, **filters: str) -> list[dict[str, Any]]:
        answer = self.get("/payments", **filters)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    def get(self, path: str, **parameters: str) -> httpx.Response:
        return httpx.get(
            self.url + path,
            params=parameters,
            headers={"X-Api-Key": self.api_key},
            trust_env=False,
        )

    def calls(self) -> dict[str, dict[str, int]]:
        return dict(self.get("/calls").json()["by_key"])

    def switch(self, **values: float) -> None:
        """Set the switches; those not named go back to 0."""
        answer = httpx.put(f"{self.url}/switches", json=values, trust_env=False)
        assert answer.status_code == 200, answer.text

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])

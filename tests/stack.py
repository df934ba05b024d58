"""Worker, gatekeeper and executor as real Celery processes, each with its own environment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from console.embedded import programs
from console.home import BASE_DIR
from tests.servers import Servers

ROLES = ("worker", "gatekeeper", "executor")
START_SECONDS = 40.0


class Stack:
    """Started on entry, ended on exit; what each printed is shown when a wait fails."""

    def __init__(self, servers: Servers, **variables: str) -> None:
        self.servers = servers
        self.outside = Path(os.environ["PLACET_TEST_WORLD"])
        self.variables = {
            "PLACET_TEST_WORLD": str(self.outside),
            "PLACET_WORKFLOWS": "tests.zoo",
            "PLACET_CLAIM_SECONDS": "2",
            "PLACET_SWEEP_SECONDS": "0.2",
        } | variables
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Stack:
        for role in ROLES:
            self.start(role)
        for role in ROLES:
            self.wait_until(lambda role=role: "ready." in self.output(role), f"{role} to be ready")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)

    def start(self, role: str) -> None:
        with self._log(role).open("ab") as log:
            self.processes[role] = subprocess.Popen(
                programs.celery(role),
                env=self.servers.environment(role) | self.variables | {"PLACET_PROCESS": role},
                cwd=BASE_DIR,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, role: str) -> None:
        """kill -9 of the process and all its children, then a new one."""
        os.killpg(self.processes[role].pid, signal.SIGKILL)
        self.processes[role].wait(5)
        self.start(role)

    def restart_what_ended(self) -> None:
        """What the supervisor does."""
        for role, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(role)

    def output(self, role: str) -> str:
        return self._log(role).read_text(errors="replace")

    def _log(self, role: str) -> Path:
        return self.outside / f"{role}.log"

    def wait_until(
        self, is_so: Callable[[], bool], what: str, seconds: float = START_SECONDS
    ) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            self.restart_what_ended()
            if time.monotonic() > deadline:
                tails = "\n".join(f"--- {r}\n{self.output(r)[-1500:]}" for r in ROLES)
                raise AssertionError(f"Waited {seconds:.0f} s for {what}.\n{tails}")
            time.sleep(0.05)

"""Two workers, two executors and a gatekeeper: real Celery processes, to be hurt."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from console.embedded import programs
from console.embedded.processes import children_of
from console.home import BASE_DIR
from tests.servers import Servers
from tests.zoo import world_dir

MEMBERS = ("worker-1", "worker-2", "executor-1", "executor-2", "gatekeeper-1")
START_SECONDS = 60.0


class Fleet:
    """Started on entry, ended on exit with all that they left behind."""

    def __init__(self, servers: Servers, *, claim_seconds: float, **variables: str) -> None:
        self.servers = servers
        self.variables = {
            "PLACET_TEST_WORLD": str(world_dir()),
            "PLACET_WORKFLOWS": "tests.zoo",
            "PLACET_CLAIM_SECONDS": str(claim_seconds),
        } | variables
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._groups: list[int] = []

    def __enter__(self) -> Fleet:
        for name in MEMBERS:
            self.start(name)
        deadline = time.monotonic() + START_SECONDS
        while not all(" ready." in self.log(name).read_text() for name in MEMBERS):
            if time.monotonic() > deadline:
                raise SystemExit(f"The processes did not start: {self.said()[-3000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            self.signal_group(process.pid, signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for group in self._groups:
            self.signal_group(group, signal.SIGKILL)
        for process in self.processes.values():
            process.wait(5)

    def start(self, name: str) -> None:
        role = name.partition("-")[0]
        command = [str(part) for part in programs.celery(role)]
        command[command.index("-n") + 1] = f"{name}@%h"
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self.servers.environment(role) | self.variables | {"PLACET_PROCESS": role},
                cwd=BASE_DIR,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = process
        self._groups.append(process.pid)

    def restart_what_ended(self) -> int:
        """What the supervisor does; how many that were."""
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        for name in ended:
            # The supervisor's wall takes all children of a dead process with it.
            self.signal_group(self.processes[name].pid, signal.SIGKILL)
            self.start(name)
        return len(ended)

    def a_child(self, draw: random.Random, role: str = "") -> int | None:
        """Any child of any process, or of one of this role."""
        children = [
            child
            for name, process in self.processes.items()
            if name.startswith(role)
            for child in children_of(process.pid)
        ]
        return draw.choice(children) if children else None

    def log(self, name: str) -> Path:
        return world_dir() / f"{name}.log"

    def said(self) -> str:
        return "\n".join(self.log(name).read_text(errors="replace") for name in MEMBERS)

    @staticmethod
    def signal_group(group: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)

"""A whole Placet for a test: `manage.py up` in a process of its own, watched from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from console.embedded.ports import find_free
from console.embedded.processes import MARK
from console.home import BASE_DIR

UP = (sys.executable, str(BASE_DIR / "manage.py"), "up")
START_SECONDS = 60
PASSED_ON = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "COVERAGE_PROCESS_START")


class Placet:
    """`output` is what a person sees. Made by `start`; `stop` is Ctrl-C."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.port = find_free()
        self.variables = variables
        self.log = home.parent / f"{home.name}-{self.port}.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                UP, env=self.environment(), cwd=BASE_DIR, stdout=output, stderr=output
            )

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        own = {"PLACET_HOME": str(self.home), "PLACET_PORT": str(self.port)}
        return kept | own | self.variables

    def wait_until_up(self) -> None:
        self.wait_for(lambda: "Placet runs at" in self.output)

    def wait_for(self, is_so: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert self.process is not None and self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, by: signal.Signals = signal.SIGINT, seconds: float = 40) -> int:
        """Give the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()

    def processes(self) -> dict[int, dict[str, str]]:
        """Every process of this home, with the variables that it started with."""
        return dict(processes_of(self.home))

    def find(self, process: str) -> int:
        """The oldest process that is this part of Placet."""
        found = [i for i, v in self.processes().items() if v.get("PLACET_PROCESS") == process]
        assert found, f"no process is the {process}"
        return min(found)

    def written(self) -> dict[str, dict[str, str]]:
        return dict(json.loads((self.home / "environment.json").read_text()))


def processes_of(home: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Those that carry the mark of the supervisor that ran last on `home`."""
    mark = (home / "mark").read_text().strip()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            raw = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        variables = dict(item.split("=", 1) for item in raw.split("\0") if "=" in item)
        if variables.get(MARK) == mark:
            yield int(entry.name), variables


def up_refuses(home: Path, **variables: str) -> str:
    """What `manage.py up` says on stderr, having ended at once with exit code 1."""
    placet = Placet(home, **variables)
    done = subprocess.run(
        UP,
        env=placet.environment(),
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()

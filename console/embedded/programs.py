"""The command line of each process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from console.home import BASE_DIR

Command = Sequence[str | Path]

MANAGE = (sys.executable, str(BASE_DIR / "manage.py"))
# Each Celery process reads one queue, so that agent code and effects never share a process.
# In a container everything is root; pickles, which the warning is about, are refused anyway.
NO_ROOT_WARNING = ("-W", "ignore:You're running the worker with superuser privileges")
CELERY_IS_READY = " ready."
QUEUES = {"worker": ("runs", 2), "executor": ("effects", 4), "gatekeeper": ("gates", 1)}


def celery(process: str) -> Command:
    queue, concurrency = QUEUES[process]
    return [
        *(sys.executable, *NO_ROOT_WARNING, "-m", "celery"),
        *("--quiet", "--no-color", "-A", "console", "worker"),
        *("-Q", queue, "-c", str(concurrency), "-n", f"{process}@%h"),
        *("--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    ]


def web(host: str, port: int, trusted_proxies: str = "") -> Command:
    """`trusted_proxies`: addresses whose word on the caller's address is believed."""
    # Left to itself, uvicorn believes everybody on this machine.
    believed = (
        ("--proxy-headers", "--forwarded-allow-ips", trusted_proxies)
        if trusted_proxies
        else ("--no-proxy-headers",)
    )
    return [
        *(sys.executable, "-m", "uvicorn", "console.asgi:application"),
        *("--host", host, "--port", str(port), "--no-server-header", "--no-access-log"),
        *believed,
        # Browsers hold live connections open for ever; a stop does not wait for them.
        *("--lifespan", "off", "--timeout-graceful-shutdown", "5", "--no-use-colors"),
    ]


def bank(home: str, port: int) -> Command:
    return [sys.executable, "-m", "console.demo.bank", "--home", home, "--port", str(port)]

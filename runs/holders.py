"""Who holds a claim: a process, named so that its neighbours can tell whether it still lives.

A name is only ever judged by a process that shares the holder's host and PID namespace;
for all others the claim's time decides.
"""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path


def me() -> str:
    """This process: host, PID namespace, PID and the moment at which it began."""
    return _name(os.getpid())


@lru_cache(maxsize=1)
def neighbourhood() -> str:
    """The beginning of the names of all processes that this one can judge."""
    try:
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        namespace = "0"
    # Hosts may share a name and the number of their first namespace, but never a boot.
    boot = Path("/proc/sys/kernel/random/boot_id")
    booted = boot.read_text().strip()[:8] if boot.exists() else "0"
    return f"{socket.gethostname()[:60]}/{booted}:{namespace}:"


def is_dead(holder: str) -> bool:
    """Whether a neighbour is certainly gone; False for anybody who cannot be judged."""
    if not holder.startswith(neighbourhood()):
        return False
    pid, _, began = holder.removeprefix(neighbourhood()).partition(":")
    return pid.isdigit() and bool(began) and _began(int(pid)) != began


@lru_cache(maxsize=1)
def _name(pid: int) -> str:
    return f"{neighbourhood()}{pid}:{_began(pid)}"


def _began(pid: int) -> str:
    """The start time of a process in clock ticks since boot; empty when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    is_zombie = fields[0] in ("Z", "X")
    return "" if is_zombie else fields[19]

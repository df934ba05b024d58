"""Loopback ports: found free, and remembered from one start to the next."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the local ends of outgoing connections: a port
# found free here is not taken by somebody's connection a moment later.
FIRST, LAST = 18_000, 32_000


def is_free(port: int) -> bool:
    return not why_not_free(port, LOOPBACK)


def why_not_free(port: int, host: str) -> str:
    """Why nothing can listen there, as a clause; empty when something can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            # Two may bind the same port until one listens.
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return ""


def find_free(preferred: int | None = None) -> int:
    """`preferred` if it is free, else some free port."""
    if preferred is not None and is_free(preferred):
        return preferred
    while True:
        port = random.randint(FIRST, LAST)
        if is_free(port):
            return port


def answers(port: int, host: str = LOOPBACK) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False

"""The floor: the least that can be durable, on the same server, in the same minute.

psycopg and prepared statements; one INSERT and COMMIT a step; no ORM, no journal, no guard.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import psycopg
import redis

from tests.bench import place

SECONDS = 4.0
# As `programs.QUEUES` starts the worker: two processes.
WRITERS = 2
BODY = b"x" * 200
INSERT = "INSERT INTO bench_floor VALUES (%s, %s, %s)"
# Processes of their own, as the workers are: two threads would share Python's lock.
_processes: Any = multiprocessing.get_context("fork")


def prepare(servers: Any) -> None:
    with psycopg.connect(servers.admin_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_floor (run int, seq int, body bytea)")
        connection.execute(
            "CREATE TABLE bench_floor_run (id int PRIMARY KEY, started timestamptz"
            " DEFAULT clock_timestamp(), first timestamptz, ended timestamptz)"
        )


def saturate(servers: Any) -> int:
    """How many steps as many writers commit as there are worker processes."""
    counts = _processes.Queue()
    writers = [
        _processes.Process(target=_write, args=(servers.admin_url, number, counts))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    total = sum(counts.get() for _ in writers)
    for writer in writers:
        writer.join()
    return int(total)


def _write(url: str, writer: int, counts: Any) -> None:
    count, ends_at = 0, time.monotonic() + SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < ends_at:
            connection.execute(INSERT, (writer, count, BODY), prepare=True)
            count += 1
    counts.put(count)


def ten_steps(servers: Any, times: int) -> dict[str, dict[str, float]]:
    """Runs of ten steps, one at a time: a row, a message through Valkey, ten rows, the end."""
    broker_url = servers.environment("worker")["PLACET_BROKER_URL"]
    worker = _processes.Process(target=_work, args=(servers.admin_url, broker_url, times))
    worker.start()
    try:
        with redis.Redis.from_url(broker_url) as broker:
            for id in range(times):
                _start(servers, broker, id)
    finally:
        worker.join(10)
        worker.kill()
    with psycopg.connect(servers.admin_url) as connection:
        found = connection.execute(
            "SELECT extract(epoch FROM ended - started) * 1000,"
            " extract(epoch FROM first - started) * 1000 FROM bench_floor_run"
        ).fetchall()
    return {
        "all": place.percentiles([float(row[0]) for row in found]),
        "until the first step": place.percentiles([float(row[1]) for row in found]),
    }


def _start(servers: Any, broker: Any, id: int) -> None:
    with psycopg.connect(servers.admin_url, autocommit=True) as connection:
        connection.execute("INSERT INTO bench_floor_run (id) VALUES (%s)", (id,))
        broker.lpush("bench-floor", id)
        ended = "SELECT ended FROM bench_floor_run WHERE id = %s"
        while connection.execute(ended, (id,)).fetchone() == (None,):
            time.sleep(0.005)


def _work(url: str, broker_url: str, times: int) -> None:
    with (
        psycopg.connect(url, autocommit=True) as connection,
        redis.Redis.from_url(broker_url) as broker,
    ):
        for _ in range(times):
            told: Any = broker.brpop(["bench-floor"], timeout=10)
            id = int(told[1])
            for seq in range(10):
                connection.execute(INSERT, (id, seq, BODY), prepare=True)
                if seq == 0:
                    first = "UPDATE bench_floor_run SET first = clock_timestamp() WHERE id = %s"
                    connection.execute(first, (id,), prepare=True)
            end = "UPDATE bench_floor_run SET ended = clock_timestamp() WHERE id = %s"
            connection.execute(end, (id,), prepare=True)

"""The floor of a payment: three processes hand on what each has committed, and nothing else.

A decision's row; a message through Valkey; the gatekeeper's row; a message; the executor's intent
and its outcome: four rows, each committed by psycopg, with no guard, no signature and no policy.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import psycopg
import redis

from tests.bench import place

INSERT = "INSERT INTO bench_relay (id, who) VALUES (%s, %s)"
TOOK = """
    SELECT extract(epoch FROM max(at) - min(at)) * 1000 FROM bench_relay GROUP BY id
"""
# Processes of their own, as the gatekeeper and the executor are.
_processes: Any = multiprocessing.get_context("fork")


def payments(servers: Any, times: int) -> dict[str, float]:
    """From the decision's row to that of the outcome, by the database's clock, one at a time."""
    broker_url = servers.environment("worker")["PLACET_BROKER_URL"]
    given = (servers.admin_url, broker_url, times)
    with psycopg.connect(servers.admin_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE bench_relay (id int, who text, at timestamptz DEFAULT clock_timestamp())"
        )
        stations = [_processes.Process(target=run, args=given) for run in (_keep, _pay)]
        for station in stations:
            station.start()
        with redis.Redis.from_url(broker_url) as broker:
            for id in range(times):
                _decide(connection, broker, id)
        for station in stations:
            station.join(10)
            station.kill()
        return place.percentiles([float(row[0]) for row in connection.execute(TOOK)])


def _decide(connection: Any, broker: Any, id: int) -> None:
    connection.execute(INSERT, (id, "decided"))
    broker.lpush("bench-gates", id)
    paid = "SELECT FROM bench_relay WHERE id = %s AND who = 'paid'"
    while connection.execute(paid, (id,)).fetchone() is None:
        time.sleep(0.005)


def _keep(url: str, broker_url: str, times: int) -> None:
    """The gatekeeper's part: a row, and a message to who pays."""
    _station(url, broker_url, times, ("cleared",), hears="bench-gates", tells="bench-effects")


def _pay(url: str, broker_url: str, times: int) -> None:
    """The executor's part: what it is about to do, and what came of it."""
    _station(url, broker_url, times, ("intended", "paid"), hears="bench-effects", tells="")


def _station(
    url: str, broker_url: str, times: int, rows: tuple[str, ...], *, hears: str, tells: str
) -> None:
    with (
        psycopg.connect(url, autocommit=True) as connection,
        redis.Redis.from_url(broker_url) as broker,
    ):
        for _ in range(times):
            told: Any = broker.brpop([hears], timeout=10)
            for who in rows:
                connection.execute(INSERT, (int(told[1]), who), prepare=True)
            if tells:
                broker.lpush(tells, told[1])

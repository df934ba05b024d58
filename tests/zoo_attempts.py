"""More of the zoo: tools that answer late, not at all, or through somebody else."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from runs import (
    CannotSay,
    DidNotHappen,
    Happened,
    Money,
    Refusal,
    Retry,
    RetryLater,
    StepFailed,
    tool,
    workflow,
)
from runs.declare import TOOLS
from tests.zoo import SOON, ledger, note, pop_switch, switch, world_dir


class Hopeless(Exception):
    """An error that is not worth another attempt."""


# Effects


def _perform(kind: str, call: Any, **what: Any) -> None:
    if not any(entry["key"] == call.idempotency_key for entry in ledger(kind)):
        note(kind, key=call.idempotency_key, **what)


def _ask_the_post(call: Any, *, letter: str) -> Any:
    note("probe-called", key=call.idempotency_key, attempt=call.attempt, letter=letter)
    if pop_switch("probe-breaks"):
        raise ConnectionResetError("the post office is closed")
    if pop_switch("probe-cannot-say"):
        return CannotSay("the letter may be on its way")
    found = [entry for entry in ledger("posted") if entry["key"] == call.idempotency_key]
    return Happened({"letter": letter, "known": True}) if found else DidNotHappen()


@tool(effect="probed", probe=_ask_the_post, retry=SOON)
def post(call: Any, *, letter: str) -> dict[str, Any]:
    """An effect that knows no keys, whose provider can be asked."""
    note("post-called", key=call.idempotency_key, attempt=call.attempt)
    if pop_switch("post-breaks"):
        raise ConnectionResetError("the letter did not leave the house")
    note("posted", key=call.idempotency_key, letter=letter)
    if pop_switch("post-drops"):
        raise ConnectionResetError("the receipt was lost")
    return {"letter": letter}


def _ask_the_bank(call: Any, *, iban: str, amount_minor: int, currency: str) -> Any:
    found = [entry for entry in ledger("wired") if entry["key"] == call.idempotency_key]
    note("bank-asked", key=call.idempotency_key)
    return Happened({"wired": amount_minor}) if found else DidNotHappen()


@tool(
    effect="probed",
    probe=_ask_the_bank,
    money=Money(amount="amount_minor", currency="currency", payee="iban"),
    retry=SOON,
)
def wire(call: Any, *, iban: str, amount_minor: int, currency: str) -> dict[str, Any]:
    """Moves money, honours no keys, and can be asked."""
    if pop_switch("wire-refuses-later"):
        raise RetryLater("the bank is closed", 0.01)
    note("wired", key=call.idempotency_key, amount_minor=amount_minor)
    if pop_switch("wire-drops"):
        raise ConnectionResetError("the line broke")
    return {"wired": amount_minor}


@tool(effect="once", retry=SOON)
def ring(call: Any, *, times: int = 1) -> int:
    """Rings once; the door may say "not now"."""
    if pop_switch("ring-later"):
        raise RetryLater("nobody is at home", 0.01)
    note("rang", times=times)
    return times


@tool(effect="keyed", retry=Retry(attempts=3, base_seconds=0.01, cap_seconds=0.01, spent="fail"))
def enrol(call: Any, *, name: str) -> str:
    """An effect of which it is always known whether it happened."""
    if pop_switch("enrol-later"):
        raise RetryLater("the office is closed", 0.01)
    _perform("enrolled", call, name=name)
    return name


@tool(effect="keyed", retry=SOON)
def seat(call: Any, *, name: str, seats: int = 1) -> dict[str, Any]:
    """Books seats: of which it is always known whether it happened."""
    if pop_switch("seat-breaks"):
        raise ConnectionResetError("the line broke")
    if pop_switch("seat-later"):
        raise RetryLater("the office is closed", 0.01)
    _perform("seated", call, name=name, seats=seats)
    return {"name": name, "seats": seats}


@tool(
    effect="keyed",
    retry=Retry(attempts=9, base_seconds=0.01, cap_seconds=0.01, not_retried=(Hopeless,)),
)
def hope(call: Any) -> None:
    """Fails with an error that is not retried."""
    note("hoped")
    raise Hopeless("there is no point")


@tool(effect="safe", retry=Retry(attempts=9, not_retried=(Hopeless,), spent="fail"))
def guess(call: Any) -> None:
    """The same in the worker, told to the workflow."""
    note("guessed")
    raise Hopeless("there is no point")


@tool(effect="safe", retry=Retry(attempts=100, base_seconds=0.05, total_seconds=0.3))
def wait_and_see(call: Any) -> None:
    """Never succeeds, and has an end."""
    note("waited-and-saw")
    raise RuntimeError("nothing to see yet")


# Time


@tool(effect="keyed", timeout=0.3, retry=Retry(attempts=1))
def oversleep(call: Any, *, seconds: float) -> str:
    """Takes longer than it may, in a sleep."""
    note("overslept", attempt=call.attempt)
    time.sleep(seconds)
    return "awake"


@tool(effect="keyed", timeout=0.3, retry=Retry(attempts=1))
async def drift(call: Any, *, seconds: float) -> str:
    """The same, as an `async def`."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("cancelled")
        raise
    return "awake"


@tool(effect="keyed", timeout=0.3, retry=SOON)
def ignore(call: Any, *, seconds: float) -> str:
    """Takes longer than it may, and ignores that."""
    note("ignored", attempt=call.attempt)
    until = time.monotonic() + seconds
    while time.monotonic() < until and not switch("stop-ignoring"):
        try:
            time.sleep(0.05)
        except BaseException:
            note("shrugged")
    return "awake"


@tool(effect="safe", timeout=0.3, retry=Retry(attempts=2, base_seconds=0.01, cap_seconds=0.01))
def ponder(call: Any, *, seconds: float, stubborn: bool = False) -> str:
    """The same, as a safe tool of the worker."""
    note("pondered", attempt=call.attempt)
    until = time.monotonic() + seconds
    while time.monotonic() < until and not switch("stop-ignoring"):
        try:
            time.sleep(0.05)
        except BaseException:
            if not stubborn:
                raise
    return "thought"


@tool(effect="keyed", heartbeat_seconds=0.3, retry=Retry(attempts=1))
def beat(call: Any, *, beats: int, then: float) -> int:
    """Beats every tenth of a second, and then falls silent."""
    for number in range(beats):
        call.heartbeat()
        time.sleep(0.1)
        note("beat", number=number)
    time.sleep(then)
    return beats


# Long tools


@tool(effect="keyed", retry=SOON)
def travel(call: Any, *, stations: int) -> dict[str, Any]:
    """Goes on from the station that an earlier attempt had come to."""
    begun_at = (call.last_details or {"station": 0})["station"]
    for station in range(begun_at, stations):
        if call.is_cancelled:
            raise Refusal(f"turned back at {station}")
        note("station", number=station, attempt=call.attempt)
        call.progress(station + 1, stations, f"at station {station}")
        call.heartbeat({"station": station + 1})
        if pop_switch(f"derails-at-{station}"):
            raise ConnectionResetError("derailed")
        while switch("train-waits"):
            call.heartbeat()
            time.sleep(0.02)
    return {"begun_at": begun_at}


@tool(effect="once")
def hand_over(call: Any, *, within: float | None = None) -> None:
    """Leaves the outcome to the outside."""
    token = call.complete_later(within)
    (Path(world_dir()) / "token").write_text(token)
    note("handed-over", key=call.idempotency_key, attempt=call.attempt)
    if pop_switch("hand-over-breaks"):
        raise ConnectionResetError("the parcel fell")


@workflow("calling", version=1)
def calling(run: Any, *, tool: str, arguments: dict[str, Any]) -> Any:
    """Calls any one tool."""
    return run.call(TOOLS[tool], **arguments)


@workflow("minding", version=1)
def minding(run: Any, *, tool: str, arguments: dict[str, Any]) -> Any:
    """Calls any one tool, and minds its failure."""
    try:
        return run.call(TOOLS[tool], **arguments)
    except StepFailed as failed:
        return f"{failed.kind}: {failed}"


# Runs beside each other in one process


@tool(effect="safe")
def meet(call: Any, *, count: int) -> int:
    """Waits until so many have come; says how many came in time."""
    note("met")
    for _ in range(200):
        if len(ledger("met")) >= count:
            break
        time.sleep(0.05)
    return len(ledger("met"))


@tool(effect="safe")
def perish(call: Any) -> None:
    """Takes its process with it, while the world says so."""
    note("perished")
    if switch("perish"):
        os.kill(os.getpid(), signal.SIGKILL)

"""Tools and workflows for the tests. Effects go to a ledger on disk: a world with a memory."""

from __future__ import annotations

import fcntl
import json
import os
import random
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from runs import ChangesRequested, Denied, Money, Refusal, Retry, StepError, tool, workflow

SOON = Retry(attempts=3, base_seconds=0.01, cap_seconds=0.01)


def world_dir() -> Path:
    return Path(os.environ["PLACET_TEST_WORLD"])


def note(kind: str, **what: Any) -> None:
    """One line in the ledger of the outside world, appended atomically."""
    with (world_dir() / "ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps({"kind": kind, **what}) + "\n")


def ledger(kind: str | None = None) -> list[dict[str, Any]]:
    path = world_dir() / "ledger.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    entries = [json.loads(line) for line in lines]
    return [entry for entry in entries if kind is None or entry["kind"] == kind]


def note_once(kind: str, key: str, **what: Any) -> None:
    """One line for a key, as a provider that honours keys keeps it, whoever calls at once."""
    take_time()
    with (world_dir() / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(entry["key"] == key for entry in ledger(kind)):
            note(kind, key=key, **what)
    take_time()


def take_time() -> None:
    """Where the world is slow, which the file `slow` says in seconds, it takes up to so long."""
    path = world_dir() / "slow"
    if path.exists():
        time.sleep(random.uniform(0, float(path.read_text())))


def switch(name: str) -> bool:
    """A switch of the outside world: a file that stays until it is taken away."""
    return (world_dir() / name).exists()


def pop_switch(name: str) -> bool:
    """A switch that works as often as its file counts."""
    path = world_dir() / name
    left = int(path.read_text()) if path.exists() else 0
    if left:
        path.write_text(str(left - 1))
    return left > 0


@tool(effect="safe", retry=SOON)
def add(call: Any, *, a: int, b: int) -> int:
    """Adds; notes that it ran."""
    note("add", a=a, b=b, attempt=call.attempt)
    take_time()
    if pop_switch("add-fails"):
        raise RuntimeError("the adder is out of order")
    return a + b


@tool(effect="safe")
async def echo(call: Any, *, value: Any) -> Any:
    """Gives back what it got; an `async def`."""
    return value


@tool(effect="safe")
def dawdle(call: Any, *, seconds: float) -> float:
    """Takes its time."""
    time.sleep(seconds)
    return seconds


@tool(effect="safe", retry=Retry(attempts=1))
def refuse(call: Any) -> None:
    """A definitive no."""
    raise Refusal("the world said no")


@tool(effect="keyed", retry=SOON)
def register(call: Any, *, name: str) -> dict[str, Any]:
    """An effect that honours keys: the second call with a key changes nothing."""
    note("register-called", name=name, key=call.idempotency_key, attempt=call.attempt)
    if pop_switch("register-fails"):
        raise RuntimeError("the register is out of order")
    note_once("registered", call.idempotency_key, name=name)
    if pop_switch("register-drops"):
        raise ConnectionResetError("the connection was dropped")
    return {"name": name}


@tool(effect="once")
def launch(call: Any, *, name: str) -> dict[str, Any]:
    """An effect that does not honour keys."""
    note("launched", name=name, key=call.idempotency_key)
    if pop_switch("launch-drops"):
        raise ConnectionResetError("the connection was dropped")
    return {"name": name}


@tool(
    effect="keyed",
    money=Money(amount="amount_minor", currency="currency", payee="iban"),
    retry=SOON,
)
def pay(
    call: Any, *, iban: str, amount_minor: int, currency: str, reference: str
) -> dict[str, Any]:
    """Moves money in the ledger; honours keys."""
    note("pay-called", key=call.idempotency_key, amount_minor=amount_minor, iban=iban)
    while switch("pay-waits"):
        call.heartbeat()
        time.sleep(0.02)
    if pop_switch("pay-breaks"):
        raise ConnectionResetError("the line broke")
    if pop_switch("pay-refuses"):
        raise Refusal("the account is closed")
    note_once("paid", call.idempotency_key, amount_minor=amount_minor, iban=iban)
    if pop_switch("pay-drops"):
        raise ConnectionResetError("the connection was dropped")
    return {"paid": amount_minor, "reference": reference}


@tool(effect="once", secret="world/key")
def knock(call: Any) -> str:
    """Uses a secret, once."""
    note("knocked", attempt=call.attempt)
    return str(call.secret["word"]).upper()


@workflow("knocking", version=1)
def knocking(run: Any) -> Any:
    """Knocks."""
    return run.call(knock)


@workflow("adding", version=1)
def adding(run: Any, *, numbers: list[int]) -> int:
    """Adds numbers one after the other."""
    total = 0
    for number in numbers:
        total = run.call(add, a=total, b=number)
    return total


@workflow("paying", version=1)
def paying(run: Any, *, amounts: list[int], currency: str = "EUR") -> dict[str, Any]:
    """Counts, pays, and says what became of each payment."""
    total = run.call(add, a=0, b=sum(amounts))
    calls = [
        run.prepare(
            pay,
            iban=f"GB29NWBK6016133192681{index}",
            amount_minor=amount,
            currency=currency,
            reference=f"invoice {index}",
        )
        for index, amount in enumerate(amounts)
    ]
    outcomes = run.gather(calls, return_exceptions=True)
    run.call(add, a=total, b=1)
    return {"outcomes": [_word(outcome) for outcome in outcomes]}


@workflow("clerking", version=1, agent="clerk")
def clerking(run: Any, *, amounts: list[int]) -> dict[str, Any]:
    """Pays as the clerk does."""
    paid: dict[str, Any] = paying.function(run, amounts=amounts)
    return paid


@workflow("employing", version=1)
def employing(run: Any, *, amounts: list[int]) -> dict[str, Any]:
    """Has the clerk pay, and is no agent itself."""
    told: dict[str, Any] = run.start(clerking, amounts=amounts).result()
    return told


def _word(outcome: Any) -> str:
    if isinstance(outcome, Denied):
        return f"denied: {outcome}"
    if isinstance(outcome, StepError):
        return f"failed: {outcome}"
    return f"paid {outcome['paid']}"


@workflow("amending", version=1)
def amending(run: Any, *, amount: int) -> list[str]:
    """Asks again for half of it when somebody wants it changed, and says what they wanted."""
    wanted = []
    while True:
        try:
            run.call(
                pay,
                iban="GB29NWBK60161331926819",
                amount_minor=amount,
                currency="EUR",
                reference="amended",
            )
        except ChangesRequested as changes:
            wanted.append(str(changes))
            amount //= 2
        else:
            return [*wanted, f"paid {amount}"]


@workflow("registering", version=1)
def registering(run: Any, *, names: list[str]) -> list[Any]:
    """Registers names side by side."""
    return run.gather([run.prepare(register, name=name) for name in names])


@workflow("launching", version=1)
def launching(run: Any, *, name: str) -> Any:
    """Launches one thing."""
    return run.call(launch, name=name)


@workflow("sleeping", version=1)
def sleeping(run: Any, *, seconds: float) -> list[str]:
    """Sleeps, and tells what it drew before and after."""
    before = [str(run.uuid4()), str(run.random()), run.now().isoformat()]
    run.sleep(seconds)
    return [*before, str(run.uuid4())]


@workflow("sleeping_until", version=1)
def sleeping_until(run: Any, *, moment: str) -> str:
    """Sleeps until a moment, and tells when it woke."""
    run.sleep_until(datetime.fromisoformat(moment))
    return str(run.now().isoformat())


@workflow("slowing", version=1)
def slowing(run: Any, *, seconds: float) -> float:
    """One step that takes long."""
    return float(run.call(dawdle, seconds=seconds))


@workflow("refusing", version=1)
def refusing(run: Any) -> None:
    """Meets a definitive no."""
    run.call(refuse)


@workflow("echoing", version=1)
def echoing(run: Any, *, value: Any) -> Any:
    """Gives back its input through an async step, with progress."""
    run.progress(1, 2, "half way")
    return run.call(echo, value=value)


@workflow("everything", version=1)
def everything(run: Any, *, amount_minor: int) -> dict[str, Any]:
    """All kinds of steps in one run: safe, effect, timer, time, money."""
    run.call(add, a=1, b=2)
    run.call(register, name="everything")
    run.sleep(0.05)
    at = run.now()
    paid = run.call(
        pay,
        iban="GB29NWBK60161331926819",
        amount_minor=amount_minor,
        currency="EUR",
        reference="all",
    )
    return {"at": at.isoformat(), "paid": paid["paid"], "id": str(run.uuid4())}


@workflow("listening", version=1)
def listening(run: Any, *, signals: list[str], timeout: float | None = None) -> list[Any]:
    """Takes one signal of each name, one after the other."""
    return [run.wait_for(name, timeout=timeout) for name in signals]


@workflow("hurrying", version=1)
def hurrying(run: Any, *, seconds: float) -> str:
    """Waits for the first of a signal and a time."""
    news, alarm = run.expect("news"), run.timer(seconds)
    first = run.first_of(news, alarm)
    run.call(add, a=1, b=1)
    return f"news: {first.result()}" if first is news else "no news"


@workflow("collecting", version=1)
def collecting(run: Any) -> list[Any]:
    """Waits for two signals, a step of the executor and a time, all of them."""
    handles = [run.expect("a"), run.expect("b"), run.begin(register, name="c"), run.timer(0.01)]
    return run.all_of(*handles)


@workflow("writing", version=1)
def writing(run: Any, *, to: str, signal: str, payload: Any = None) -> str:
    """Sends a signal to another run."""
    try:
        run.send(to, signal, payload)
    except StepError as error:
        return f"not sent: {error}"
    return "sent"


@workflow("asking", version=1)
def asking(run: Any, *, timeout: float | None = None) -> Any:
    """Asks people for a number and a word."""
    form = {
        "type": "object",
        "properties": {"count": {"type": "integer", "minimum": 1}, "word": {"type": "string"}},
        "required": ["count"],
        "additionalProperties": False,
    }
    answer = run.ask("How many, and what?", form, timeout=timeout)
    return [answer["count"], answer.get("word")]


@workflow("parenting", version=1)
def parenting(run: Any, *, children: list[dict[str, Any]], detached: bool = False) -> list[Any]:
    """Starts children side by side, and collects what they came to."""
    begin = run.start_detached if detached else run.start
    begun = [begin(child["workflow"], **child["input"]) for child in children]
    outcomes = run.all_of(*begun, return_exceptions=True)
    return [str(o) if isinstance(o, StepError) else o for o in outcomes]


@workflow("nesting", version=1)
def nesting(run: Any, *, depth: int) -> int:
    """A chain of runs, each of which starts the next."""
    return 1 + run.start("nesting", depth=depth - 1).result() if depth else 0


@workflow("many_registering", version=1)
def many_registering(
    run: Any, *, names: list[str], fail_fast: bool = False, at_once: int | None = None
) -> Any:
    """Registers names side by side, within a bound or until the first failure."""
    calls = [run.prepare(register, name=name) for name in names]
    try:
        done = run.gather(calls, fail_fast=fail_fast, at_once=at_once)
    except StepError as error:
        run.call(add, a=0, b=0)
        return f"failed: {error}"
    return len(done)


# What a run did, and how it is taken back.


@tool(effect="keyed", retry=SOON)
def unbook(call: Any, *, place: str, original_key: str = "") -> dict[str, Any]:
    """Takes a booking back; honours keys."""
    note("unbook-called", place=place, key=call.idempotency_key, attempt=call.attempt)
    if pop_switch("unbook-fails"):
        raise ConnectionResetError("the line broke")
    if pop_switch("unbook-refuses"):
        raise Refusal("it is too late to take it back")
    note_once("unbooked", call.idempotency_key, place=place, original=original_key)
    return {"place": place}


@tool(effect="keyed", retry=SOON, undo="unbook")
def book(call: Any, *, place: str) -> dict[str, Any]:
    """Books; can be undone."""
    if pop_switch("book-refuses"):
        raise Refusal("it is fully booked")
    note_once("booked", call.idempotency_key, place=place)
    return {"place": place}


@tool(effect="once", undo="unbook")
def book_once(call: Any, *, place: str) -> dict[str, Any]:
    """Books without a key."""
    note("booked", place=place, key=call.idempotency_key)
    if pop_switch("book-drops"):
        raise ConnectionResetError("the connection was dropped")
    return {"place": place}


@tool(
    effect="keyed",
    money=Money(amount="amount_minor", currency="currency", payee="iban"),
    retry=SOON,
)
def charge_back(call: Any, *, iban: str, amount_minor: int, currency: str) -> dict[str, Any]:
    """Has money sent back, which moves money."""
    note_once("charged-back", call.idempotency_key, amount_minor=amount_minor)
    return {"back": amount_minor}


@tool(effect="keyed", retry=SOON, undo="charge_back")
def charge(call: Any, *, iban: str, amount_minor: int, currency: str) -> dict[str, Any]:
    """Counts as done; its undo needs a gate."""
    note_once("charged", call.idempotency_key, amount_minor=amount_minor)
    return {"charged": amount_minor}


@workflow("travelling", version=1)
def travelling(run: Any, *, places: list[str], ends_well: bool = True) -> int:
    """Books one place after the other, counts in between, and fails at the end if asked."""
    for index, place in enumerate(places):
        run.call(book, place=place)
        run.call(add, a=index, b=1)
    if not ends_well:
        raise RuntimeError("nobody wants to travel")
    return len(places)


@workflow("touring", version=1)
def touring(run: Any, *, places: list[str]) -> None:
    """Books many places side by side, and fails."""
    run.gather([run.prepare(book, place=place) for place in places])
    raise RuntimeError("the tour is off")


@workflow("rushing", version=1)
def rushing(run: Any) -> None:
    """Books two places at once, and fails as soon as one of them does."""
    calls = [run.prepare(book_once, place="a"), run.prepare(book, place="b")]
    run.gather(calls, fail_fast=True)


@workflow("daring", version=1)
def daring(run: Any, *, places: list[str]) -> None:
    """Books a place, then one without a key, and waits for a signal."""
    run.call(book, place=places[0])
    run.call(book_once, place=places[1])
    run.wait_for("go")


@workflow("fathering", version=1)
def fathering(run: Any) -> None:
    """Books, starts a child that takes long, and fails."""
    run.call(book, place="a")
    run.start("lingering", seconds=60.0)
    raise RuntimeError("the father is gone")


@workflow("charging", version=1)
def charging(run: Any, *, amount_minor: int) -> None:
    """Charges, and fails."""
    run.call(charge, iban="GB29NWBK60161331926819", amount_minor=amount_minor, currency="EUR")
    raise RuntimeError("the goods are gone")


@workflow("lingering", version=1)
def lingering(run: Any, *, seconds: float = 0.0, names: list[str] = []) -> list[Any]:  # noqa: B006
    """Adds, draws, waits, registers, adds."""
    drawn = [run.call(add, a=1, b=1), str(run.uuid4())]
    run.sleep(seconds)
    for name in names:
        run.call(register, name=name)
    return [*drawn, str(run.uuid4()), run.call(add, a=2, b=2)]


@workflow("changing", version=1)
def changing(run: Any) -> list[Any]:
    """Its code is changed by switches of the world: `patched-code`, `broken-code`."""
    done = [run.call(add, a=1, b=1)]
    if switch("patched-code") and run.patched("check"):
        done.append("checked")
    if switch("broken-code"):
        done.append(run.call(echo, value="new"))
    done.append(run.wait_for("go"))
    if switch("patched-code") and run.patched("check again"):
        done.append("checked again")
    done.append(run.call(add, a=2, b=2))
    return done


@workflow("counting", version=1)
def counting(run: Any, *, number: int, most: int) -> Any:
    """Counts from run to run, one signal a run."""
    run.call(add, a=number, b=0)
    if number < most:
        run.continue_as_new(number=number + 1, most=most)
    return [number, run.wait_for("end"), run.should_continue]


# What the storm wants to know of an effect that must not be repeated.


@tool(effect="once")
def fire(call: Any, *, name: str, seconds: float = 0.1) -> dict[str, Any]:
    """An effect that does not honour keys, and tells where it was cut off."""
    told = {"key": call.idempotency_key, "attempt": call.attempt}
    note("fire-called", **told)
    time.sleep(seconds)
    note("fired", **told)
    if pop_switch("fire-drops"):
        note("fire-dropped", **told)
        raise ConnectionResetError("the connection was dropped")
    note("fire-returned", **told)
    return {"name": name}


@workflow("firing", version=1)
def firing(run: Any, *, name: str, seconds: float = 0.1) -> Any:
    """Fires once, between two sums."""
    run.call(add, a=1, b=1)
    fired = run.call(fire, name=name, seconds=seconds)
    run.call(add, a=2, b=2)
    return fired


import tests.zoo_attempts  # noqa: E402, F401  The rest of the zoo, registered with it


@workflow("choosing", version=1)
def choosing(run: Any) -> list[Any]:
    """Takes the first of two signals, and waits for a third after that."""
    first = run.first_of(run.expect("a"), run.expect("b"))
    return [first.result(), run.wait_for("end")]

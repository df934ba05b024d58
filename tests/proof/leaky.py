"""Tools that misbehave with their secret in every way that an honest mistake could.

An executor imports this as the code of an author. `Shown.fields` is what a tool was lent.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
import threading
import traceback
import urllib.parse
import warnings
from collections.abc import Callable
from typing import Any

import httpx
from opentelemetry import trace

from runs import Money, Refusal, Retry, StepError, tool, workflow

SECRET = "proof/canary"
ONCE = Retry(attempts=1, spent="fail")
TWICE = Retry(attempts=2, base_seconds=0.01, cap_seconds=0.01, spent="fail")
Fields = dict[str, str]


class Shy(Exception):
    """Shows its value only when somebody formats it."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self.value = value

    def __str__(self) -> str:
        return f"shy of {self.value}"


def give_back(call: Any, fields: Fields, outside: str) -> Any:
    return {
        "plain": fields,
        fields["odd"]: "as a name",
        "bearer": [f"Bearer {value}" for value in fields.values()],
        "deep": [[{"a": {"b": list(fields.values())}}]],
    }


def encode(call: Any, fields: Fields, outside: str) -> Any:
    texts = [*fields.values(), json.dumps(fields), json.dumps(fields, ensure_ascii=False)]
    return {
        "base64": [base64.b64encode(text.encode()).decode() for text in texts],
        "basic": [base64.b64encode(f"placet:{text}".encode()).decode() for text in texts],
        "for URLs": [base64.urlsafe_b64encode(text.encode()).decode() for text in texts],
        "hex": [text.encode().hex() for text in texts],
        "HEX": [text.encode().hex().upper() for text in texts],
        "quoted": [urllib.parse.quote(text, safe="") for text in texts],
        "form": urllib.parse.urlencode(fields),
        "json": texts,
        "json in json": json.dumps(json.dumps(fields)),
        "repr": [repr(dict(fields)), repr([text.encode() for text in fields.values()])],
    }


def raise_chained(call: Any, fields: Fields, outside: str) -> Any:
    try:
        try:
            raise KeyError(fields["api_key"])
        except KeyError:
            raise ValueError({"sent": fields}, fields["odd"].encode())  # noqa: B904
    except ValueError as error:
        raised = RuntimeError(f"while sending {fields}", fields)
        raised.add_note(f"the key was {fields['api_key']}")
        raise raised from error


def raise_shy(call: Any, fields: Fields, outside: str) -> Any:
    raise Shy("\n".join(fields.values()))


def raise_named(call: Any, fields: Fields, outside: str) -> Any:
    raise type(f"Error_{fields['api_key']}", (Exception,), {})("named")


def raise_long(call: Any, fields: Fields, outside: str) -> Any:
    """The message is longer than what is kept of it, and the limit cuts the value in two."""
    raise RuntimeError("x" * 1_500 + fields["api_key"] + "y" * 400 + fields["long"])


def refuse_long(call: Any, fields: Fields, outside: str) -> Any:
    raise Refusal("x" * 1_985 + fields["api_key"])


def raise_group(call: Any, fields: Fields, outside: str) -> Any:
    raise ExceptionGroup(fields["odd"], [ValueError(fields["api_key"]), Shy(fields["long"])])


def leave(call: Any, fields: Fields, outside: str) -> Any:
    raise SystemExit(fields["api_key"])


def return_an_object(call: Any, fields: Fields, outside: str) -> Any:
    return {"kind": type(fields["api_key"], (), {})()}


def log(call: Any, fields: Fields, outside: str) -> Any:
    for logger in (call.log, logging.getLogger("somebody.elses.library"), logging.getLogger()):
        for value in fields.values():
            logger.warning("the key is %s and %r", value, {"deep": [value]})
            logger.warning(f"the key is {value}")
            logger.warning("extra", extra={"key": value})
        logger.warning("mapped %(api_key)s %(long)s", fields)
        logger.warning("broken %d " + fields["api_key"], fields["odd"])
        try:
            raise_chained(call, fields, outside)
        except RuntimeError:
            logger.exception("raised", stack_info=True)
    return "logged"


def log_by_a_handler_of_its_own(call: Any, fields: Fields, outside: str) -> Any:
    logger = logging.getLogger("a.library.with.a.handler")
    logger.addHandler(logging.StreamHandler())
    logger.warning("the key is %s", fields)
    return "logged"


def print_it(call: Any, fields: Fields, outside: str) -> Any:
    for value in fields.values():
        print("the key is", value, flush=True)
        print("the key is", value, file=sys.stderr)
        sys.stdout.write(f"{value}\n")
        sys.stdout.writelines([value, "\n"])
    try:
        raise_chained(call, fields, outside)
    except RuntimeError:
        traceback.print_exc()
    warnings.warn(f"the key {fields['api_key']} is deprecated", stacklevel=1)
    thread = threading.Thread(target=raise_chained, args=(call, fields, outside))
    thread.start()
    thread.join()
    return "printed"


def trace_it(call: Any, fields: Fields, outside: str) -> Any:
    tracer = trace.get_tracer("a.library")
    for value in fields.values():
        trace.get_current_span().set_attribute("on the attempt", value)
        trace.get_current_span().add_event("sent", {"body": value})
        link = trace.Link(trace.INVALID_SPAN_CONTEXT, {"key": value})
        with tracer.start_as_current_span(f"call {value}", links=[link]) as span:
            span.set_attribute(value, [value])
            span.add_event(f"sent {value}", {value: f"Bearer {value}"})
            span.set_status(trace.StatusCode.ERROR, f"refused {value}")
            span.record_exception(ValueError(value), attributes={"key": value})
    return "traced"


def send_it(call: Any, fields: Fields, outside: str) -> Any:
    """A server that repeats what it was sent in the body of its refusal."""
    key = fields["api_key"]
    with httpx.Client(headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:
        answer = client.post(
            f"{outside}/echo/{urllib.parse.quote(key, safe='')}",
            params={"token": fields["odd"]},
            auth=("placet", fields["long"]),
            json=fields,
            headers={"X-Key": key},
        )
        call.log.info("%s said %s to %s", outside, answer.text, answer.request.headers.raw)
        answer.raise_for_status()


def send_it_and_return_the_answer(call: Any, fields: Fields, outside: str) -> Any:
    answer = httpx.post(f"{outside}/echo", json=fields, trust_env=False)
    return {"text": answer.text, "json": answer.json(), "headers": str(answer.request.headers)}


def send_it_nowhere(call: Any, fields: Fields, outside: str) -> Any:
    httpx.get(f"http://user:{urllib.parse.quote(fields['api_key'], safe='')}@127.0.0.1:1/")


WAYS: dict[str, Callable[[Any, Fields, str], Any]] = {
    way.__name__: way
    for way in (
        give_back, encode, raise_chained, raise_shy, raise_named, raise_long, refuse_long,
        raise_group, leave, return_an_object, log, log_by_a_handler_of_its_own, print_it, trace_it,
        send_it, send_it_and_return_the_answer, send_it_nowhere,
    )
}  # fmt: skip


@tool(effect="safe", secret=SECRET, retry=TWICE)
def leak(call: Any, *, way: str, outside: str) -> Any:
    """Misbehaves in one way."""
    return WAYS[way](call, dict(call.secret), outside)


@tool(effect="once", secret=SECRET, retry=ONCE)
def leak_once(call: Any, *, way: str, outside: str) -> Any:
    """Misbehaves with an effect whose outcome is then in doubt."""
    return WAYS[way](call, dict(call.secret), outside)


@tool(
    effect="keyed",
    money=Money(amount="amount_minor", currency="currency", payee="iban"),
    secret=SECRET,
    retry=ONCE,
)
def leak_and_pay(
    call: Any, *, iban: str, amount_minor: int, currency: str, outside: str
) -> dict[str, Any]:
    """Moves no money, but says what it was lent to whoever reads the receipt."""
    log(call, dict(call.secret), outside)
    return {"receipt": dict(call.secret)}


@workflow("leaking", version=1)
def leaking(run: Any, *, ways: list[str], outside: str) -> dict[str, Any]:
    """Meets every misbehaviour, and repeats all that it hears of it."""
    outcomes = {}
    for done, way in enumerate(ways):
        try:
            outcomes[way] = run.call(leak, way=way, outside=outside)
        except StepError as error:
            outcomes[way] = f"{error} {error.args} {vars(error)}"
        run.progress(done, len(ways), str(outcomes[way])[:255])
    paid = run.call(
        leak_and_pay,
        iban="GB29NWBK60161331926819",
        amount_minor=100,
        currency="EUR",
        outside=outside,
    )
    raise RuntimeError(f"{paid} {outcomes}")


@workflow("leaking_once", version=1)
def leaking_once(run: Any, *, way: str, outside: str) -> Any:
    """Ends in doubt."""
    return run.call(leak_once, way=way, outside=outside)

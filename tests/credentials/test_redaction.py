"""Values of secrets disappear from texts, structures, exceptions and log records."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import threading
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from credentials import redaction
from credentials.redaction import Redacted, holding, registry, scrub, scrub_exception

CANARY = "sk_canary_8d1f/+=9"
MARK = "[redacted:bank/payments/api_key]"
FIELDS = {"api_key": CANARY}

secrets = st.text(min_size=8, max_size=60).filter(lambda value: len(value.strip()) >= 8)
around = st.text(max_size=20)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64 without padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "hexadecimal": lambda value: value.encode().hex(),
    "upper hexadecimal": lambda value: value.encode().hex().upper(),
    "a path of a URL": quote,
    "a part of a URL": lambda value: quote(value, safe=""),
    "a form": quote_plus,
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON in Unicode": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)[1:-1])[1:-1],
    "HTML": html.escape,
    "repr": lambda value: repr(value)[1:-1],
    "ascii": lambda value: ascii(value)[1:-1],
    "repr of bytes": lambda value: repr(value.encode())[2:-1],
}


@pytest.fixture(autouse=True)
def nothing_stays_held() -> Any:
    yield
    assert registry.held == ()


@pytest.mark.parametrize("name", ENCODINGS)
@given(value=secrets, before=around, after=around)
@example(value=CANARY, before="", after="")
@example(value="a'b\"c\\d\n<é>&/?", before="x", after="y")
def test_a_value_is_found_in_each_encoding(name: str, value: str, before: str, after: str) -> None:
    form = ENCODINGS[name](value)
    # A marker that itself spells the form proves nothing either way.
    assume(form not in MARK and "redacted" not in form)
    with holding("bank/payments", {"api_key": value}):
        assert form not in scrub(f"{before} {form} {after}")


@given(value=secrets, before=st.binary(max_size=6), after=st.binary(max_size=6))
def test_a_value_is_found_in_base64_at_every_alignment(
    value: str, before: bytes, after: bytes
) -> None:
    encoded = base64.b64encode(before + value.encode() + after).decode()
    with holding("bank/payments", {"api_key": value}):
        scrubbed = scrub(encoded)
    assert "[redacted:" in scrubbed
    # What remains decodes to neighbours of the value and at most to its outermost bytes.
    assert value.encode()[1:-1] not in base64.b64decode(scrubbed.partition("[")[0] + "==")


@given(value=secrets, other=st.text(min_size=1, max_size=30))
def test_what_does_not_hold_a_value_is_left_alone(value: str, other: str) -> None:
    with holding("bank/payments", {"api_key": value}):
        assume(not any(form in other for form in redaction.forms(value)))
        thing = {"a": [other, 7, 1.5, None, True], other: (other.encode(),)}
        assert scrub(thing) == thing


def test_overlapping_values_leave_no_tail() -> None:
    with holding("a", {"x": "abcdefgh"}), holding("b", {"y": "efghijkl"}):
        assert scrub("-abcdefghijkl-") == "-[redacted:a/x]-"


def test_structures_are_scrubbed_at_every_depth() -> None:
    thing = {
        CANARY: 1,
        "list": [CANARY, {"deep": (f"Bearer {CANARY}",)}],
        "bytes": CANARY.encode(),
        "set": {CANARY},
    }
    with holding("bank/payments", FIELDS):
        assert scrub(thing) == {
            MARK: 1,
            "list": [MARK, {"deep": (f"Bearer {MARK}",)}],
            "bytes": MARK.encode(),
            "set": {MARK},
        }


def test_a_number_that_spells_a_value_is_scrubbed_and_other_numbers_stay_numbers() -> None:
    with holding("bank/payments", {"pin": "1234567890"}):
        assert scrub([1234567890, 123, 1.5]) == ["[redacted:bank/payments/pin]", 123, 1.5]


def test_what_is_nested_too_deeply_is_taken_out_whole() -> None:
    thing: Any = CANARY
    for _ in range(redaction.MAX_DEPTH + 1):
        thing = [thing]
    circle: list[Any] = []
    circle.append(circle)
    with holding("bank/payments", FIELDS):
        assert CANARY not in repr(scrub(thing))
        assert redaction.TOO_DEEP in repr(scrub(circle))


def test_lines_of_a_long_value_are_found_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nEFAASCBKcwggSjAgEAAoIBAQC7\n-----END"
    with holding("tls", {"key": key}):
        assert scrub("line 2: MIIEvQIBADANBgkqhkiG9w0BAQ.") == "line 2: [redacted:tls/key]."


def test_nothing_is_touched_while_nothing_is_held() -> None:
    thing = {"key": [CANARY]}
    assert scrub(thing) is thing


def test_a_value_held_twice_is_looked_for_until_both_have_let_go() -> None:
    first, second = holding("bank/payments", FIELDS), holding("bank/payments", FIELDS)
    with first:
        with second:
            pass
        assert scrub(CANARY) == MARK
    assert scrub(CANARY) == CANARY


def test_threads_hold_and_let_go_without_losing_each_other() -> None:
    wrong: list[str] = []

    def work(number: int) -> None:
        value = f"value-of-thread-{number}"
        for _ in range(50):
            with holding("t", {str(number): value}):
                if scrub(value) != f"[redacted:t/{number}]":
                    wrong.append(value)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_exception_is_scrubbed_along_its_causes_contexts_and_notes() -> None:
    with holding("bank/payments", FIELDS):
        scrubbed = scrub_exception(chained())
        text = "".join(traceback.format_exception(scrubbed))
    assert isinstance(scrubbed, RuntimeError)
    assert CANARY not in text
    assert text.count(MARK) == 4


def chained() -> Exception:
    try:
        try:
            try:
                raise KeyError(CANARY)
            except KeyError:
                raise ValueError({"sent": CANARY})  # noqa: B904
        except ValueError as error:
            raise RuntimeError(f"while sending {CANARY}") from error
    except RuntimeError as error:
        error.add_note(f"the key was {CANARY}")
        return error


class Stubborn(Exception):
    def __str__(self) -> str:
        return f"always shows {CANARY}"


def test_an_exception_that_cannot_be_scrubbed_is_replaced() -> None:
    with holding("bank/payments", FIELDS):
        for error in (Stubborn(), ExceptionGroup(f"all of {CANARY}", [ValueError(CANARY)])):
            scrubbed = scrub_exception(error)
            assert isinstance(scrubbed, Redacted)
            assert CANARY not in str(scrubbed)
            assert MARK in str(scrubbed)


class Shown:
    def __repr__(self) -> str:
        return f"<request with {CANARY}>"


@pytest.fixture
def log() -> Any:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(message)s %(extra)s", defaults={"extra": ""}))
    logger = logging.getLogger("tests.credentials.redaction")
    logger.addHandler(handler)
    logger.propagate = False
    redaction.guard_handlers()
    yield logger, out
    logger.removeHandler(handler)


def test_log_records_are_scrubbed_in_message_arguments_traceback_stack_and_extras(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, out = log
    with holding("bank/payments", FIELDS):
        logger.warning(f"plain {CANARY}")
        logger.warning("merged %s %r", CANARY, Shown())
        logger.warning("mapped %(key)s", {"key": CANARY})
        logger.warning("extra", extra={"extra": Shown()})
        logger.warning("list", extra={"extra": [CANARY]})
        logger.warning("malformed %d" + CANARY, CANARY)
        try:
            raise ValueError(urlencode({"key": CANARY}))
        except ValueError:
            logger.exception("raised", stack_info=True)
    text = out.getvalue()
    assert "raised" in text and "ValueError: key=" in text
    assert all(form not in text for form in redaction.forms(CANARY))
    assert text.count("[redacted:bank/payments/api_key]") >= 6


def test_the_filter_is_put_on_each_handler_once(log: tuple[logging.Logger, io.StringIO]) -> None:
    redaction.guard_handlers()
    redaction.guard_handlers()
    for handler in log[0].handlers:
        ours = [f for f in handler.filters if isinstance(f, redaction.RedactionFilter)]
        assert len(ours) == 1

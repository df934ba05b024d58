"""Values of secrets are taken out of whatever is about to be stored or shown.

While a value is held (for the length of a lease or of a write), every form in which it
usually travels is looked for: as it is, in base64 at each alignment, in hexadecimal, escaped
for URLs, JSON, HTML and Python. What is found is replaced by a marker that names the value.
With nothing held this costs one look at an empty tuple.

What cannot be found is said in the room's README: parts of a value, and encodings that are
not listed in `forms`.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from credentials.values import marker

MIN_VALUE_CHARACTERS = 8
"""Shorter values cannot be stored: taking them out of texts would shred the texts."""

MIN_LINE_CHARACTERS = 16
"""Lines of a value of several lines, as a PEM key, are looked for from this length on."""

MAX_DEPTH = 64
"""What lies deeper in a nested value is not looked at, and so is taken out whole."""

TOO_DEEP = "[redacted: nested too deeply to be searched]"

Held = tuple[tuple[str, str], ...]
E = TypeVar("E", bound=BaseException)


def forms(value: str) -> set[str]:
    """Every form of `value` that is looked for."""
    pieces = {value, value.strip()}
    pieces |= {line.strip() for line in value.splitlines() if len(line) >= MIN_LINE_CHARACTERS}
    found: set[str] = set()
    for piece in pieces:
        found |= _escaped(piece)
        # Encoded is often not the value but a JSON text with the value in it.
        for text in {piece, *_as_json(piece)}:
            found |= _as_url(text) | _base64(text.encode()) | _hex(text.encode())
    return {form for form in found if len(form) >= MIN_VALUE_CHARACTERS}


def _escaped(value: str) -> set[str]:
    as_json = _as_json(value)
    as_json |= {json.dumps(once)[1:-1] for once in as_json}
    as_script = {
        form.replace("<", "\\u003C").replace(">", "\\u003E").replace("&", "\\u0026")
        for form in as_json
    }
    return {
        value,
        # The bytes of UTF-8 read one by one: so bytes are searched, and so broken text looks.
        value.encode().decode("latin-1"),
        html.escape(value),
        html.escape(value, quote=False),
        repr(value)[1:-1],
        ascii(value)[1:-1],
        repr(value.encode())[2:-1],
        *as_json,
        *(form.replace("/", "\\/") for form in as_json),
        *as_script,
    }


def _as_json(value: str) -> set[str]:
    return {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}


def _as_url(value: str) -> set[str]:
    found = {quote(value, safe=""), quote(value), quote_plus(value)}
    return found | {_lower_percent(form) for form in found}


def _lower_percent(form: str) -> str:
    head, *rest = form.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(value: bytes) -> set[str]:
    """The value's base64 alone, and the part of it that stays the same inside of other bytes.

    Three bytes make four characters, so the value looks different at each of three
    alignments, and shares its first and last character there with its neighbours.
    """
    found = {base64.b64encode(value).decode()}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).decode()
        first = -(-before * 8 // 6)
        last = (before + len(value)) * 8 // 6
        found.add(encoded[first:last])
    return found | {form.replace("+", "-").replace("/", "_") for form in found}


def _hex(value: bytes) -> set[str]:
    return {value.hex(), value.hex().upper()}


class Registry:
    """The values that are held in this process at this moment. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        # Replaced as a whole and never changed, so that searching needs no lock.
        self.held: Held = ()

    @contextmanager
    def holding(self, reference: str, fields: Mapping[str, str]) -> Iterator[None]:
        """Hold the values of a secret's fields while the block runs. May be nested."""
        values = [(str(value), marker(f"{reference}/{name}")) for name, value in fields.items()]
        self._count(values, 1)
        try:
            yield
        finally:
            self._count(values, -1)

    def _count(self, values: list[tuple[str, str]], change: int) -> None:
        with self._lock:
            for value in values:
                self._counts[value] += change
            self._counts = +self._counts
            held = {(form, mark) for value, mark in self._counts for form in forms(value)}
            self.held = tuple(sorted(held))


registry = Registry()
holding = registry.holding


def scrub_text(text: str) -> str:
    """`text` with every form of every held value replaced by its marker."""
    held = registry.held
    spans = [span for form, mark in held for span in _occurrences(text, form, mark)]
    return _without(text, sorted(spans)) if spans else text


def _occurrences(text: str, form: str, mark: str) -> Iterator[tuple[int, int, str]]:
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form), mark
        at = text.find(form, at + 1)


def _without(text: str, spans: list[tuple[int, int, str]]) -> str:
    """Overlapping spans are taken out as one, or the tail of the second would stay."""
    kept: list[str] = []
    done = 0
    for start, end, mark in spans:
        if start >= done:
            kept += [text[done:start], mark]
        done = max(done, end)
    return "".join([*kept, text[done:]])


def scrub(value: Any) -> Any:
    """`value` with every held value taken out of its texts, at any depth.

    Takes what JSON can say, and bytes, tuples, sets and exceptions. Containers are copied;
    an exception is changed in place. What is of another type comes back as it is.
    """
    return _scrub(value, 0) if registry.held else value


def _scrub(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, bytes | bytearray):
        return type(value)(scrub_text(value.decode("latin-1")).encode("latin-1"))
    if isinstance(value, int | float):
        # A number that spells a value becomes its marker; any other stays a number.
        text = str(value)
        scrubbed = scrub_text(text)
        return value if scrubbed == text else scrubbed
    if isinstance(value, BaseException):
        return scrub_exception(value)
    return _scrub_items(value, depth + 1)


def _scrub_items(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {_scrub(key, depth): _scrub(item, depth) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_scrub(item, depth) for item in value)
    if isinstance(value, list | set | frozenset):
        return type(value)(_scrub(item, depth) for item in value)
    return value


class Redacted(Exception):
    """Stands for an exception that went on showing a value, whatever was taken out of it."""


def scrub_exception(error: E) -> E | Redacted:
    """The exception with held values taken out, along its causes, contexts and groups.

    It is the same object, changed in place; or a `Redacted` with its scrubbed text, where
    the value sits somewhere that cannot be changed.
    """
    if not registry.held:
        return error
    links = list(_links(error))
    for link in links:
        _scrub_in_place(link)
    if any(scrub_text(shown) != shown for link in links for shown in _texts(link)):
        return Redacted(f"{type(error).__name__}: {scrub_text(_safe(str, error))}")
    return error


def _links(error: BaseException) -> Iterator[BaseException]:
    """Every exception that a traceback of `error` would show, each once."""
    seen: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen[id(link)] = link
        waiting += [link.__cause__, link.__context__]
        waiting += getattr(link, "exceptions", ())
        yield link


def _scrub_in_place(link: BaseException) -> None:
    # Exceptions held by this one are links of their own, and would make a circle here.
    link.args = tuple(a if isinstance(a, BaseException) else scrub(a) for a in link.args)
    for name, value in list(vars(link).items()):
        if isinstance(value, str | bytes | dict | list | tuple):
            setattr(link, name, scrub(value))


def _texts(link: BaseException) -> tuple[str, str]:
    return _safe(str, link), _safe(repr, link)


def _safe(show: Any, value: object) -> str:
    try:
        return str(show(value))
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_formatter = logging.Formatter()


class RedactionFilter(logging.Filter):
    """Takes held values out of a record: message, arguments, traceback, stack and extras."""

    def filter(self, record: logging.LogRecord) -> bool:
        if registry.held:
            _scrub_message(record)
            _scrub_traceback(record)
            for name in vars(record).keys() - _STANDARD:
                setattr(record, name, _scrub_extra(getattr(record, name)))
        return True


def _scrub_message(record: logging.LogRecord) -> None:
    # The arguments are merged first: an object may show a value only when it is formatted.
    try:
        message = record.getMessage()
    except Exception:
        # Left so, the handler would complain on its own and show the arguments in full.
        message = f"{_safe(str, record.msg)} {_safe(repr, record.args)}"
        record.msg, record.args = message, None
    scrubbed = scrub_text(message)
    if scrubbed != message:
        record.msg, record.args = scrubbed, None


def _scrub_traceback(record: logging.LogRecord) -> None:
    if record.exc_info and not record.exc_text:
        text = _formatter.formatException(record.exc_info)
        scrubbed = scrub_text(text)
        if scrubbed != text:
            # Whoever formats the record from here on has only the text.
            record.exc_info, record.exc_text = None, scrubbed
    if record.exc_text:
        record.exc_text = scrub_text(record.exc_text)
    if record.stack_info:
        record.stack_info = scrub_text(record.stack_info)


def _scrub_extra(value: Any) -> Any:
    scrubbed = scrub(value)
    shown = _safe(str, scrubbed)
    return scrubbed if scrub_text(shown) == shown else scrub_text(shown)


_filter = RedactionFilter()


def guard_handlers() -> None:
    """Put the filter on every handler that any logger has now. May be called again."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    handlers = [handler for logger in loggers for handler in getattr(logger, "handlers", ())]
    # The one that serves where nobody set up any belongs to no logger.
    for handler in [*handlers, logging.lastResort]:
        if handler is not None and _filter not in handler.filters:
            handler.addFilter(_filter)

"""What templates need to show rows: icons, states, moments, amounts, JSON values.

Every function builds its HTML with `format_html`, so that nothing a workflow, a bank or a
person wrote reaches a page unescaped.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Iterable
from functools import cache
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from console.pages import words
from console.pages.requests import count_words
from runs import canonical, positions

register = template.Library()
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
SHOWN_CHARACTERS = 20_000
"""How much of a result or of an error a page shows; a gate's arguments are always whole."""


@register.simple_tag
@cache
def icon(name: str, modifier: str = "") -> SafeString:
    """A drawing from the sprite; it never carries meaning alone."""
    kind = f"icon icon-{modifier}" if modifier else "icon"
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        kind,
        static("icons.svg"),
        name,
    )


@register.simple_tag
def state(kind: str, status: str) -> SafeString:
    """The state of a run, step, gate or decision: icon, word and colour."""
    shown = words.STATES[kind].get(status) or words.State(
        word=words.plainly(status), icon="dots", tone="calm"
    )
    return format_html(
        '<span class="state state-{}">{}{}</span>', shown.tone, icon(shown.icon), shown.word
    )


@register.simple_tag
def when(moment: dt.datetime | None, manner: str = "ago") -> SafeString | str:
    """A moment: UTC as served, relative and in the viewer's zone once `times.js` has run.

    `manner` is "ago" (relative), "clock" (exact), "day", or "left" (what remains until then).
    """
    if moment is None:
        return ""
    utc = moment.astimezone(dt.UTC)
    return format_html(
        '<time datetime="{}" data-time="{}" title="{}">{}</time>',
        utc.isoformat().replace("+00:00", "Z"),
        manner,
        f"{utc.day} {utc:%B %Y, %H:%M:%S} UTC",
        _served(utc, manner),
    )


def _served(utc: dt.datetime, manner: str) -> str:
    if manner == "day":
        return words.day(utc)
    if manner == "clock":
        return f"{utc.day} {utc:%b %Y, %H:%M:%S} UTC"
    until = "until " if manner == "left" else ""
    return f"{until}{utc.day} {utc:%b %Y, %H:%M} UTC"


@register.filter
def in_zone(moment: dt.datetime, name: str) -> str:
    """A moment as the clocks of a schedule's zone show it."""
    there = moment.astimezone(zoneinfo.ZoneInfo(name))
    clock = "%H:%M:%S" if there.second else "%H:%M"
    return f"{there:%a} {there.day} {there:%b %Y}, {there.strftime(clock)} {name}"


@register.filter
def ends_soon(gate: Any) -> bool:
    """Whether less than a quarter of a gate's time is left."""
    window = gate.expires_at - gate.opened_at
    return bool(gate.expires_at - timezone.now() < window / 4)


@register.simple_tag
def amount(amount_minor: int, currency: str, exponent: int | None = None) -> SafeString:
    return format_html(
        '<span class="amount">{}</span>', words.money(amount_minor, currency, exponent)
    )


@register.filter
def event_words(kind: str) -> str:
    return words.EVENTS.get(kind) or words.plainly(kind)


@register.filter
def action_words(action: str) -> str:
    return words.ACTIONS.get(action) or words.plainly(action)


@register.filter
def step_number(position: int) -> str:
    """The number of a step as pages say it, from 1; `3.2` is the second in the place of the
    third, and an undo has the number of what it undoes."""
    number = str(positions.original(position) + 1)
    again = positions.replacements(position)
    number = f"{number}.{again + 1}" if again else number
    return f"{number} (undo)" if positions.is_undo(position) else number


@register.filter
def counted(count: int) -> str:
    """A count that ends somewhere, as `requests.counted` gives it."""
    return count_words(count)


@register.filter
def short(id: Any) -> str:
    """The end of an identifier, enough to tell two apart (its start is the time)."""
    return str(id)[-8:]


@register.filter
def decoded(encoded: bytes | memoryview | None) -> Any:
    """The JSON value that canonical bytes stand for."""
    return None if encoded is None else canonical.decode(encoded)


@register.filter
def as_json(encoded: bytes | memoryview) -> SafeString:
    """Stored canonical bytes as the JSON text that they are, up to a limit."""
    return shown(bytes(encoded).decode()[:SHOWN_CHARACTERS])


@register.filter
def hexadecimal(raw: bytes | memoryview) -> str:
    return bytes(raw).hex()


@register.filter
def shown(text: str) -> SafeString:
    """Text of strangers: escaped, and with characters that hide or turn text made visible."""
    if not any(words.is_hidden(c) for c in text):
        return conditional_escape(text)
    # Each part is escaped by itself.
    return mark_safe("".join(_visible(c) for c in text))


@register.filter
def account(payee: str) -> SafeString:
    """A payee; an IBAN in groups of four by spacing alone, so that copying gives it as it is."""
    if not IBAN.fullmatch(payee):
        return shown(payee)
    groups = (payee[at : at + 4] for at in range(0, len(payee), 4))
    return format_html_join("", '<span class="group">{}</span>', ((g,) for g in groups))


def _visible(character: str) -> str:
    if not words.is_hidden(character):
        return str(conditional_escape(character))
    return format_html('<span class="odd">U+{}</span>', f"{ord(character):04X}")


@register.filter
def value(item: Any) -> SafeString:
    """A JSON value, whole, as a list of names and values."""
    return format_html('<div class="value">{}</div>', _value(item))


@register.filter
def bare_value(item: Any) -> SafeString:
    """The same without a note: nothing but what the value holds, which `shown.js` compares."""
    return format_html('<div class="value">{}</div>', _value(item, with_notes=False))


@register.filter
def brief_value(encoded: bytes | memoryview | None) -> SafeString:
    """A stored JSON value, whole up to a limit; beyond it, its beginning as text."""
    if encoded is None:
        return SafeString("")
    raw = bytes(encoded)
    if len(raw) <= SHOWN_CHARACTERS:
        return value(canonical.decode(raw))
    beginning = raw[:SHOWN_CHARACTERS].decode(errors="replace")
    return format_html(
        '<div class="value">{}…</div><p class="value-note">'
        "The first {} of {} bytes; the whole value can be read through the API.</p>",
        shown(beginning),
        f"{SHOWN_CHARACTERS:,}",
        f"{len(raw):,}",
    )


def _value(item: Any, *, with_notes: bool = True) -> SafeString:
    if item is None:
        return SafeString('<span class="value-none">none</span>')
    if isinstance(item, bool):
        return SafeString("yes" if item else "no")
    if isinstance(item, dict):
        return _map(item, with_notes=with_notes)
    if isinstance(item, list):
        return _list(item, with_notes=with_notes)
    if isinstance(item, str):
        return shown(item) if item else SafeString('<span class="value-empty">empty text</span>')
    # A number as the bytes have it, and as a browser writes it.
    return conditional_escape(canonical.encode(item).decode())


def _map(item: dict[str, Any], *, with_notes: bool) -> SafeString:
    if not item:
        return SafeString('<span class="value-empty">nothing</span>')
    return format_html(
        '<dl class="value-map">{}</dl>',
        format_html_join(
            "",
            "<dt>{}</dt><dd>{}{}</dd>",
            (
                (
                    shown(k),
                    _value(v, with_notes=with_notes),
                    _in_money(k, v, item) if with_notes else "",
                )
                for k, v in item.items()
            ),
        ),
    )


def _list(items: Iterable[Any], *, with_notes: bool) -> SafeString:
    if not items:
        return SafeString('<span class="value-empty">empty list</span>')
    return format_html(
        '<ol class="value-list">{}</ol>',
        format_html_join("", "<li>{}</li>", ((_value(i, with_notes=with_notes),) for i in items)),
    )


@register.simple_tag
def argument(name: str, arguments: dict[str, Any]) -> SafeString:
    """One of these arguments, as the list of all of them shows it."""
    if name not in arguments:
        return SafeString('<span class="value-none">not given</span>')
    note = _in_money(name, arguments[name], arguments)
    return format_html('<div class="value">{}{}</div>', _value(arguments[name]), note)


def _in_money(name: str, item: Any, around: dict[str, Any]) -> SafeString | str:
    """Minor units beside a currency are said as an amount too: nobody should count zeros."""
    currency = around.get("currency")
    is_amount = name.endswith("_minor") and isinstance(item, int) and not isinstance(item, bool)
    if not is_amount or not isinstance(currency, str) or currency not in canonical.CURRENCIES:
        return ""
    return format_html(' <span class="value-note">= {}</span>', words.money(item, currency))

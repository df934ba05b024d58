"""The bank's one page: its ledger, its calls and its switches, without any script."""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal
from html import escape
from typing import Any

from iso4217 import Currency

from console.demo.bank.ledger import SWITCHES, Ledger

NEWEST = 200
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #8886; }
td, th { white-space: nowrap; }
th.number, td.number { text-align: right; }
.wide { overflow-x: auto; }
fieldset { border: 1px solid #8886; border-radius: .4rem; padding: 1rem; }
label { display: grid; grid-template-columns: 9rem 8rem 1fr; gap: .6rem; margin: .4rem 0; }
label { align-items: center; }
input, button { font: inherit; padding: .2rem .5rem; min-height: 1.75rem; }
@media (max-width: 40rem) { label { grid-template-columns: 1fr; } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    # Not `no-referrer`: under it a browser sends `Origin: null` with the page's own form.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def render(ledger: Ledger) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sample bank</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Sample bank</h1>
<p>This stands for the outside world: a bank with a memory, which can be made to misbehave.
<a href="/">Look again</a></p>
<h2>Payments</h2>
{_payments(ledger.newest_payments(NEWEST))}
<h2>Switches</h2>
{_switches(ledger.switches())}
<h2>Calls by idempotency key</h2>
{_calls(ledger.calls())}
</main>
</body>
</html>
"""


def _payments(payments: list[dict[str, Any]]) -> str:
    if not payments:
        return "<p>Nothing has been paid yet.</p>"
    heads = ["Payee", "Amount", "Reference", "IBAN", "Executed", "Payment"]
    rows = [
        [p["creditor"], _money(p), p["reference"], p["iban"], _time(p["executed_at"]), p["id"]]
        for p in payments
    ]
    return _table(heads, rows, figures={"Amount"})


def _calls(calls: dict[str, dict[str, int]]) -> str:
    if not calls:
        return "<p>Nobody has called yet.</p>"
    names = ["calls", "performed", "replayed", "refused", "failed", "dropped"]
    newest = list(calls.items())[-NEWEST:][::-1]
    rows = [
        [_short(key) or "(none)", *(str(counts[name]) for name in names)] for key, counts in newest
    ]
    heads = [name.title() for name in names]
    return _table(["Key", *heads], rows, figures=set(heads))


def _table(heads: list[str], rows: list[list[str]], *, figures: set[str]) -> str:
    """A table; the columns named in `figures` are set to the right."""

    def cells(tag: str, texts: list[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if head in figures else ''}>{escape(text)}</{tag}>"
            for head, text in zip(heads, texts, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<div class=wide tabindex=0><table><tr>{cells('th', heads)}</tr>{body}</table></div>"


def _switches(switches: dict[str, float]) -> str:
    fields = "".join(
        f"<label><span>{name}</span><input type=number name={name} min=0 max={largest}"
        f' step="{"any" if name == "delay_seconds" else 1}" value="{switches[name]:g}" required>'
        f"<span>{escape(words)}</span></label>"
        for name, (words, largest) in SWITCHES.items()
    )
    return (
        f"<form method=post action=/switches><fieldset>{fields}"
        "<button>Set the switches</button></fieldset></form>"
    )


def _money(payment: dict[str, Any]) -> str:
    exponent = Currency(payment["currency"]).exponent or 0
    amount = Decimal(payment["amount_minor"]).scaleb(-exponent)
    return f"{amount:,.{exponent}f} {payment['currency']}"


def _time(moment: str) -> str:
    return f"{moment[:10]} {moment[11:19]} UTC"


def _short(key: str) -> str:
    return key if len(key) <= 20 else f"{key[:16]}…"

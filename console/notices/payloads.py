"""What a notice says: one line, a plain text, and the body of a webhook.

Amounts are written as on the page. No word of an agent is in it: what comes from arguments is an
amount, an account and the names of the payee, the tool and the workflow, each on a line of its own
and with all that hides or turns text taken out. The link opens the page, and nothing else.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from approvals.models import Notice
from console.pages import words

HEADLINES = {
    "opened": "Please decide",
    "reminder": "Still open, please decide",
    "escalated": "Escalated, please decide",
    "decided": "Decided",
    "expired": "Expired without a decision",
    "executed": "Done",
    "failed": "Failed",
    "in_doubt": "In doubt",
    "commented": "New comment",
}
NEXT = {
    "failed": "Nothing of it happened. The page says why.",
    "in_doubt": "Nobody knows whether it happened. It waits until people settle it on its page.",
    "expired": "Silence is refusal: nothing was done.",
}
VERDICTS = {"approve": "approved", "deny": "denied", "changes": "asked for changes"}
MAX_LINE_CHARACTERS = 300


def headline(notice: Notice) -> str:
    """One line: what happened, and how much it is about."""
    if notice.kind == Notice.Kind.TEST:
        return "Test of a Placet channel"
    facts = notice.facts
    said = HEADLINES[notice.kind]
    if notice.kind == Notice.Kind.DECIDED:
        said = str(facts["status"]).replace("_", " ").capitalize()
    return f"{said}: {what(facts)}"


def what(facts: dict[str, Any]) -> str:
    """What it is about: the sum and who gets it, or the tool where it is not about money."""
    if facts.get("amount_minor") is None:
        return _line(facts["tool"])
    sum = words.money(facts["amount_minor"], facts["currency"], facts["exponent"])
    return f"{sum} to {_line(facts['payee_name'] or facts['payee'])}"


def text(notice: Notice) -> str:
    """The plain text of a message."""
    if notice.kind == Notice.Kind.TEST:
        lines = [f"This is the test notice for the channel {_line(notice.facts['channel'])}."]
    else:
        lines = [*_facts(notice), "", f"Look and decide here: {link(notice)}"]
    number = f"Notice {notice.id}. If you get it twice, it is the same one."
    return "\n".join([headline(notice), "", *lines, "", number])


def _facts(notice: Notice) -> list[str]:
    facts = notice.facts
    asked = f"Asked for by {_line(facts['requester'])}, in a run of {_line(facts['workflow'])}"
    lines = [f"Tool: {_line(facts['tool'])}", asked]
    if facts.get("amount_minor") is not None:
        lines.insert(0, f"Account: {_line(facts['payee'])}")
    for one in facts["decisions"]:
        because = f": {_line(one['reason'])}" if one["reason"] else ""
        lines.append(f"{_line(one['by'])} {VERDICTS[one['verdict']]}{because}")
    if "comment" in facts:
        said = facts["comment"]
        lines.append(f"{_line(said['by'])} wrote: {_line(said['text'])}")
    if facts["status"] == "open":
        lines.append(f"Open until {_moment(facts['expires_at'])}")
    if notice.kind in NEXT:
        lines.append(NEXT[notice.kind])
    return [*lines, f"Digest phrase: {facts['phrase']}"]


def body(notice: Notice) -> str:
    """The body of a webhook: the same bytes however often it is sent."""
    data: dict[str, Any] = {"notice": str(notice.id), "headline": headline(notice)}
    if notice.kind != Notice.Kind.TEST:
        data |= {"gate": str(notice.gate_id), "link": link(notice)} | notice.facts
    told = {
        "type": f"gate.{notice.kind}" if notice.gate_id else "channel.test",
        "timestamp": notice.happened_at.isoformat(),
        "data": data,
    }
    return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def link(notice: Notice) -> str:
    """Where the gate's page is. To open it decides nothing, and it carries no leave to."""
    return settings.PLACET_URL + reverse("gate", args=[notice.gate_id])


def _moment(told: str) -> str:
    at = datetime.fromisoformat(told)
    return f"{words.day(at)} {at:%H:%M} UTC"


def _line(told: str) -> str:
    """Text of strangers as one line in which nothing hides."""
    plain = "".join(c if not words.is_hidden(c) else "\ufffd" for c in " ".join(told.split()))
    cut = plain[: MAX_LINE_CHARACTERS - 1] + "…"
    return plain if len(plain) <= MAX_LINE_CHARACTERS else cut

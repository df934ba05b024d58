"""Cases of a policy: what is asked for, what rows would tell of it, and the answer expected.

A file of cases is YAML or JSON, read as strictly as a policy is. It stands beside the policy of
its author and says what that is meant to do, so that an edit which does something else is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from approvals import limits
from approvals.rules import text as texts
from approvals.rules.evaluate import Kind, Outcome, evaluate
from approvals.rules.facts import Circumstances, Request, Summed
from approvals.rules.faults import Faults, Form, Place
from runs.canonical import CURRENCIES
from runs.limits import MAX_AMOUNT_MINOR

REQUEST = ("tool", "workflow", "agent", "requester", "tenant", "amount_minor", "currency",
           "payee", "payee_name", "arguments", "free_text", "at")  # fmt: skip
KNOWN = ("first_seen", "account_changed", "sums", "changed")
BY = ("payee", "run", "agent", "workflow", "tenant")
LAST = "the last one"
NOON = datetime(2026, 1, 6, 12, 0, tzinfo=UTC)
"""When a case is asked for that does not say it: a Tuesday, so that it answers the same always."""
NO_RUN = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request and the answer that its author expects. `rule` is empty where any will do;
    `tier` is empty where it is not said."""

    name: str
    request: Request
    known: Circumstances
    kind: str
    rule: str
    tier: str

    def difference(self, document: dict[str, Any]) -> tuple[Outcome, str]:
        """What the policy answers, and how that is not what was expected; empty when it is."""
        outcome = evaluate(document, self.request, self.known)
        consent = (outcome.then or {}).get("consent", {})
        for what, expected, found in (
            ("the answer", self.kind, str(outcome.kind)),
            ("the rule", self.rule, outcome.name),
            ("the tier", self.tier, consent.get("tier", "")),
        ):
            if expected and expected != found:
                return outcome, f"{what} is {found or 'none'}, not {expected}"
        return outcome, ""


def read_cases(text: str) -> list[Case]:
    """The cases that stand there. Raises `InvalidPolicy` with every fault and its place."""
    faults = Faults()
    given = texts.read(text)
    form = Form(faults, (), given if isinstance(given, dict) else {"cases": given}, ("cases",))
    cases = [_case(faults, at, one) for at, one in form.items("cases", 1, limits.MAX_CASES)]
    faults.check()
    return cases


def _case(faults: Faults, at: Place, value: Any) -> Case:
    form = Form(faults, at, value, ("name", "request", "known", "expect"))
    wanted = form.get("expect")
    short = {"answer": wanted} if isinstance(wanted, str) else wanted
    expected = Form(faults, form.place("expect"), short, ("answer", "rule", "tier"))
    return Case(
        name=form.text("name"),
        request=_request(Form(faults, form.place("request"), form.get("request"), REQUEST)),
        known=_known(Form(faults, form.place("known"), form.get("known", {}), KNOWN)),
        kind=expected.choice("answer", [str(kind) for kind in Kind]),
        rule=_text(expected, "rule"),
        tier=_text(expected, "tier"),
    )


def _text(form: Form, key: str, default: str = "") -> str:
    return form.text(key) if key in form else default


def _request(form: Form) -> Request:
    free_text = form.get("free_text", [])
    arguments = form.get("arguments", {})
    if not isinstance(arguments, dict):
        form.fault("arguments", "This must be a mapping of names to values.")
    if free_text:
        free_text = form.faults.texts(free_text, form.place("free_text"), most=100, each=128)
    return Request(
        tool=form.text("tool"),
        workflow=_text(form, "workflow"),
        agent=_text(form, "agent"),
        requester=_text(form, "requester"),
        tenant=_text(form, "tenant"),
        money=_money(form),
        arguments=arguments,
        free_text=tuple(free_text),
        run_id=NO_RUN,
        at=_moment(form),
    )


def _money(form: Form) -> dict[str, Any] | None:
    """What is paid; None where the case names no amount."""
    if "amount_minor" not in form:
        for key in ("currency", "payee", "payee_name"):
            if key in form:
                form.fault(key, "This is said of payments; name the amount_minor as well.")
        return None
    currency = form.text("currency")
    if currency and currency not in CURRENCIES:
        form.fault("currency", f"{currency!r} is not an ISO 4217 currency.")
    return {
        "amount_minor": form.integer("amount_minor", 1, MAX_AMOUNT_MINOR),
        "currency": currency,
        "exponent": CURRENCIES.get(currency, 2),
        "payee": form.text("payee", limits.MAX_LIST_ENTRY),
        "payee_name": form.text("payee_name") if form.get("payee_name", "") else "",
    }


def _moment(form: Form) -> datetime:
    """With its offset: a case must say the same wherever it is read."""
    if "at" not in form:
        return NOON
    try:
        moment = datetime.fromisoformat(str(form.get("at")))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        form.fault("at", "This must be a moment with its offset, such as 2026-11-24T10:30:00Z.")
        return NOON
    return moment


def _known(form: Form) -> Circumstances:
    changed = form.get("changed", {})
    if not _all_booleans(changed):
        form.fault("changed", "This must say true or false of each argument.")
        changed = {}
    sums = {}
    for at, one in form.items("sums", 0, 20, default=[]):
        given = Form(form.faults, at, one, ("by", "currency", "window_seconds", "amount_minor"))
        window = given.integer("window_seconds", 1, limits.MAX_WINDOW_SECONDS)
        key = (given.choice("by", BY), given.text("currency"), window)
        sums[key] = Summed(amount_minor=given.integer("amount_minor", 0, 2**53 - 1))
    return Circumstances(
        sums=sums,
        first_seen=_boolean(form, "first_seen"),
        account_changed=_boolean(form, "account_changed"),
        compared_with=LAST if changed else "" if "changed" in form else None,
        changed=changed,
    )


def _all_booleans(changed: Any) -> bool:
    return isinstance(changed, Mapping) and all(isinstance(one, bool) for one in changed.values())


def _boolean(form: Form, key: str) -> bool | None:
    """Nothing is known of what a case does not say: the policy then holds rather than guess."""
    return form.boolean(key) if key in form else None

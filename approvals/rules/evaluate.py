"""What a policy says about a request: the first rule that matches decides, and none is a refusal.

Nothing is let through by what nobody can tell. An allow whose condition cannot be evaluated does
not match; a block or a consent whose condition cannot be evaluated holds the request, because it
might have been the stricter answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from approvals.rules.document import normalise
from approvals.rules.facts import Circumstances, Needs, Request
from approvals.rules.faults import InvalidPolicy
from approvals.rules.holds import Condition, of_circumstances, of_request
from approvals.rules.words import amount, name
from runs import canonical
from runs.errors import NotCanonical, PayloadTooLarge


class Kind(StrEnum):
    """What follows for the step."""

    CONSENT = "consent"
    ALLOW = "allow"
    BLOCK = "block"
    HELD = "held"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One rule that was looked at; `matched` is None where nobody can tell."""

    rule: int
    name: str
    kind: str
    matched: bool | None
    conditions: tuple[Condition, ...]

    @property
    def text(self) -> str:
        """The sentences that this rule's answer rests on."""
        if not self.conditions:
            return "It has no conditions, so it matches everything."
        wanted = [one for one in self.conditions if one.holds is self.matched]
        return " ".join(one.text for one in wanted)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answer and why.

    `rule` and `name` are of the rule that decided, or that nobody could evaluate; None and empty
    when no rule matched. `then` is that rule's consent, allow or block as the document has it, None
    when the request is held. `because` is the answer in a sentence or two; `tried` are all rules
    that were looked at, in order.
    """

    kind: Kind
    rule: int | None
    name: str
    then: dict[str, Any] | None
    because: str
    tried: tuple[Tried, ...]

    def as_json(self) -> dict[str, Any]:
        """A JSON value with a canonical form."""
        return asdict(self) | {"tried": [asdict(one) | {"text": one.text} for one in self.tried]}


def evaluate(document: dict[str, Any], request: Request, known: Circumstances) -> Outcome:
    """The outcome of one request under one document; the same for the same three, always."""
    broken = _broken(document)
    if broken:
        return _held(f"The policy in force is broken, so nothing passes. {broken}", ())
    tried: list[Tried] = []
    for no, rule in enumerate(document["rules"]):
        (kind,) = rule["then"]
        one = _try(no, rule, document["lists"], request, known)
        tried.append(one)
        if one.matched:
            return _decided(rule, Kind(kind), one, tuple(tried))
        if one.matched is None and kind != Kind.ALLOW:
            because = (
                f"Nobody can tell whether the rule {one.name!r} ({kind}) is about this request, so"
                f" it is held. {one.text}"
            )
            return _held(because, tuple(tried), one)
    money = request.money
    paid = f" of {amount(money['amount_minor'], money['currency'])}" if money else ""
    because = f"No rule of the policy covers {name(request.tool)}{paid}, so nobody may clear it."
    return _held(because, tuple(tried))


def needed(document: dict[str, Any], request: Request) -> Needs:
    """What to look up for `evaluate`: what rules ask for that the request does not rule out."""
    sums: set[tuple[str, str, int]] = set()
    payee = False
    changed: set[str] = set()
    if _broken(document) is not None:
        return Needs()
    for rule in document["rules"]:
        when = rule["when"]
        if any(one.holds is False for one in of_request(when, request, document["lists"])):
            continue
        sums |= {
            (one["by"], one["currency"], one["window_seconds"]) for one in when.get("sums", ())
        }
        payee = payee or bool({"first_seen", "account_changed"} & when.get("payee", {}).keys())
        changed |= set(when.get("changed", ()))
    money = request.money
    return Needs(
        sums=tuple(sorted(one for one in sums if money and one[1] == money["currency"])),
        payee=payee and money is not None,
        changed=tuple(sorted(changed)),
    )


def _broken(document: Any) -> str | None:
    """What is wrong with a document that should have its normal form; None when it has."""
    try:
        return _checked(canonical.encode(document))
    except (NotCanonical, PayloadTooLarge) as error:
        return str(error)


@lru_cache(maxsize=64)
def _checked(encoded: bytes) -> str | None:
    document = canonical.decode(encoded)
    try:
        is_normal = normalise(document) == document
    except InvalidPolicy as error:
        return str(error)
    return None if is_normal else "It does not have its normal form."


def _try(
    no: int,
    rule: dict[str, Any],
    lists: dict[str, list[str]],
    request: Request,
    known: Circumstances,
) -> Tried:
    """What the request rules out by itself is not looked up, nor told."""
    found = list(of_request(rule["when"], request, lists))
    if all(one.holds is not False for one in found):
        found += of_circumstances(rule["when"], request, known)
    answers = {one.holds for one in found}
    matched = False if False in answers else None if None in answers else True
    (kind,) = rule["then"]
    return Tried(rule=no, name=rule["name"], kind=kind, matched=matched, conditions=tuple(found))


def _decided(rule: dict[str, Any], kind: Kind, one: Tried, tried: tuple[Tried, ...]) -> Outcome:
    because = f"The rule {one.name!r} matches. {one.text}"
    if kind == Kind.BLOCK:
        because = f"The rule {one.name!r} blocks it: {rule['then']['block']['reason']} {one.text}"
    return Outcome(
        kind=kind, rule=one.rule, name=one.name, then=rule["then"], because=because, tried=tried
    )


def _held(because: str, tried: tuple[Tried, ...], one: Tried | None = None) -> Outcome:
    return Outcome(
        kind=Kind.HELD,
        rule=one.rule if one else None,
        name=one.name if one else "",
        then=None,
        because=because,
        tried=tried,
    )

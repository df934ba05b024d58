"""Who plays in the demo, and by which rules: data for `manage.py seed_demo`."""

from __future__ import annotations

from dataclasses import dataclass

from console.roles import ADMIN, AUDITOR, OPERATOR, REVIEWER

REVIEWERS_GROUP = "payments"
EXPIRES_AFTER_SECONDS = 7 * 24 * 60 * 60


@dataclass(frozen=True, kw_only=True)
class Player:
    username: str
    first_name: str
    last_name: str
    role: str


CAST = (
    Player(username="alice", first_name="Alice", last_name="Ashby", role=OPERATOR),
    Player(username="bob", first_name="Bob", last_name="Brennan", role=REVIEWER),
    Player(username="carol", first_name="Carol", last_name="Castellan", role=REVIEWER),
    Player(username="dave", first_name="Dave", last_name="Dunmore", role=AUDITOR),
    Player(username="erin", first_name="Erin", last_name="Eastwick", role=ADMIN),
)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A band of amounts in whole units of its currency, and how many must approve."""

    currency: str
    above: int
    up_to: int
    quorum: int

    @property
    def name(self) -> str:
        people = "one person" if self.quorum == 1 else f"{self.quorum} people"
        return f"{self.currency} up to {self.up_to:,}: {people}"


RULES = tuple(
    rule
    for currency, unit in (("EUR", 1), ("GBP", 1), ("USD", 1), ("SEK", 10))
    for rule in (
        Rule(currency=currency, above=0, up_to=10_000 * unit, quorum=1),
        Rule(currency=currency, above=10_000 * unit, up_to=1_000_000 * unit, quorum=2),
    )
)

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
    roles: frozenset[str]


def _player(username: str, first_name: str, last_name: str, *roles: str) -> Player:
    return Player(
        username=username, first_name=first_name, last_name=last_name, roles=frozenset(roles)
    )


# A doubt about a payment of Alice's is settled by two others who review and are operators; what
# takes two admins, such as a thaw, takes Erin and Frank.
CAST = (
    _player("alice", "Alice", "Ashby", OPERATOR),
    _player("bob", "Bob", "Brennan", REVIEWER, OPERATOR),
    _player("carol", "Carol", "Castellan", REVIEWER, OPERATOR),
    _player("dave", "Dave", "Dunmore", AUDITOR),
    _player("erin", "Erin", "Eastwick", ADMIN),
    _player("frank", "Frank", "Fairweather", ADMIN),
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

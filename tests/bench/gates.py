"""Gates: how the pages feel with ten thousand of them open, and how soon a decision pays.

    python -m tests.bench.gates [--open 10000] [--closed 2000] [--json PATH]

The aim for each page and call is 100 ms at p95; see `looks` for what is measured, and `relay` for
the floor of a payment.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import place, relay, steps
from tests.bench.looks import beside, looks

OPEN, CLOSED = 10_000, 2_000
LOOKS, LOOKS_AT_FEW = 40, 15
PAYMENTS, PAYMENTS_AMONG_MANY, WARMING = 24, 12, 3
COOLING_SECONDS = 1
# A rule for each tier by its band, and one that asks a group in which Bob is not.
BANDS = {"confirm": 10_000, "passkey": 20_000, "typed": 30_000, "critical": 40_000}
OTHERS = 50_000
AIM_MS = 100


def measure(open_count: int, closed_count: int) -> dict[str, Any]:
    with place.placet() as servers:
        from tests.browser.web import let_people_sign_in, web_process
        from tests.harness import World
        from tests.stack import Stack

        with World(servers) as world:
            let_people_sign_in()
            bench = _Bench(world, servers)
            log = Path(os.environ["PLACET_TEST_WORLD"]) / "web.log"
            with Stack(servers, **steps.DEFAULTS), web_process(servers, log) as address:
                return bench.measure(address, open_count, closed_count)


class _Bench:
    """The rules and the reviewers' keys are there before any process starts."""

    def __init__(self, world: Any, servers: Any) -> None:
        from tests.approvals.authenticator import KeyFile, Passkey

        self.world, self.servers = world, servers
        self.devices = {"bob": Passkey(), "carol": KeyFile()}
        self._publish()
        self.keys = {name: self._enrol(name) for name in self.devices}

    def _publish(self) -> None:
        from approvals import policies
        from approvals.models import Reviewer
        from tests.harness import as_role

        with as_role("placet_owner"):
            policies.remove_rule(self.world.tenant, "Payments up to 10,000 euro")
            for person in (self.world.carol, self.world.mallory):
                Reviewer.objects.create(tenant=self.world.tenant, group="treasury", person=person)
        floor = 0
        for tier, up_to in BANDS.items():
            asked: dict[str, Any] = {"tier": tier}
            if tier == "critical":
                asked |= {"quorum": 2, "cooling_off_seconds": COOLING_SECONDS}
            self.world.policy(name=f"By {tier}", above_minor=floor, up_to_minor=up_to, **asked)
            floor = up_to
        self.world.policy(name="Others", above_minor=floor, up_to_minor=OTHERS, group="treasury")

    def _enrol(self, name: str) -> Any:
        from tests.approvals.enrolled import enrol, season

        key = enrol(getattr(self.world, name), self.devices[name])
        season(key)
        return key

    def measure(self, address: str, open_count: int, closed_count: int) -> dict[str, Any]:
        self.payments(WARMING)
        figures: dict[str, Any] = {
            "floor": relay.payments(self.servers, PAYMENTS),
            "decision to executed payment, idle": self.payments(PAYMENTS),
        }
        gates = self._templates()
        figures["with few"] = looks(address, gates, times=LOOKS_AT_FEW)
        self._crowd(gates, open_count, closed_count)
        figures["with many"] = looks(address, gates, times=LOOKS)
        many = self.payments(PAYMENTS_AMONG_MANY)
        return figures | {"decision to executed payment, with many": many}

    def payments(self, times: int) -> dict[str, dict[str, float]]:
        """From the last decision's row to the end of the payment, by the database's clock."""
        return {
            tier if tier != "critical" else "critical, from the end of its cooling-off": (
                place.percentiles([self._payment(tier) for _ in range(times)])
            )
            for tier in BANDS
        }

    def _payment(self, tier: str) -> float:
        gate = self._park(BANDS[tier])
        self._approve(gate)
        ended = "SELECT status FROM runs_step WHERE id = %s"
        place.wait_until(
            lambda: place.ask(self.servers, ended, gate.step_id) == "succeeded", "the payment"
        )
        took = """
            SELECT extract(epoch FROM s.finished_at - (
                SELECT max(decided_at) FROM approvals_decision d WHERE d.gate_id = g.id)) * 1000
            FROM approvals_gate g JOIN runs_step s ON s.id = g.step_id WHERE g.id = %s
        """
        cooled = 1000 * COOLING_SECONDS if tier == "critical" else 0
        return float(place.ask(self.servers, took, gate.id)) - cooled

    def _park(self, amount: int) -> Any:
        from approvals.models import Gate

        run = self.world.start("paying", amounts=[amount])
        opened = "SELECT count(*) FROM approvals_gate WHERE run_id = %s"
        place.wait_until(lambda: bool(place.ask(self.servers, opened, run.id)), "the gate")
        return Gate.objects.get(run=run)

    def _approve(self, gate: Any) -> None:
        for name in ("carol", "bob") if gate.quorum > 1 else ("bob",):
            self._decide(gate, name)

    def _decide(self, gate: Any, name: str) -> None:
        """As the person gives it; who is too fast for the rate guard looks their approvals over
        first, which is before the decision's row."""
        from approvals.decisions import decide
        from tests.approvals.attacks import fact_of
        from tests.approvals.enrolled import signed
        from tests.harness import as_role, patiently

        person, given = getattr(self.world, name), {}
        if gate.tier != "confirm":
            given["signed"] = signed(gate, person, self.keys[name], self.devices[name])
        with as_role("placet_web"):
            approve = partial(
                decide,
                gate_id=gate.id,
                tenant=gate.tenant,
                person=person,
                verdict="approve",
                reason="",
                digest=bytes(gate.digest).hex(),
                typed_fact=fact_of(gate),
                **given,
            )
            patiently(person, approve)

    def _templates(self) -> dict[str, Any]:
        """One gate of each kind, opened and decided as all are."""
        gates = {tier: self._park(up_to) for tier, up_to in BANDS.items()}
        gates["of others"] = self._park(OTHERS)
        self._decide(gates["critical"], "carol")
        self._payment("confirm")
        from approvals.models import Gate

        gates["closed"] = Gate.objects.filter(status="approved").latest("closed_at")
        return gates

    def _crowd(self, templates: dict[str, Any], open_count: int, closed_count: int) -> None:
        from tests.bench import crowd

        kinds = [gate for name, gate in templates.items() if name != "closed"]
        crowd.put(open_count - len(kinds), kinds, reviewer=self.world.bob.pk)
        crowd.put(closed_count, [templates["closed"]], reviewer=self.world.bob.pk)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=OPEN)
    parser.add_argument("--closed", type=int, default=CLOSED)
    parser.add_argument("--json", default=os.path.join(tempfile.gettempdir(), "placet-gates.json"))
    given = parser.parse_args()
    figures = measure(given.open, given.closed)
    _show(figures, f"{given.open} open and {given.closed} closed gates")
    place.keep(figures, given.json)


def _show(figures: dict[str, Any], many: str) -> None:
    title = "decision to executed payment"
    place.show("The floor of a payment, ms", figures["floor"])
    for when in ("idle", "with many"):
        place.show(f"{title.capitalize()}, {when}, ms", figures[f"{title}, {when}"])
    place.show(
        f"With {many}: ms at p50 and p95, CPU ms, times the floor, times that with few",
        beside(figures["with many"], figures["with few"]),
    )
    slow = [what for what, ms in figures["with many"].items() if ms["p95"] >= AIM_MS]
    print(f"\nNot within {AIM_MS} ms at p95: {', '.join(slow) or 'none'}")


if __name__ == "__main__":
    main()

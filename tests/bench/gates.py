"""Gates: how the pages feel with ten thousand of them open, and how soon a decision pays.

    python -m tests.bench.gates [--open 10000] [--closed 2000] [--looks 40] [--payments 24]
        [--json PATH]

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
from tests.bench.looks import Look, beside, looks

OPEN, CLOSED = 10_000, 2_000
LOOKS, PAYMENTS, WARMING = 40, 24, 3
COOLING_SECONDS = 1
# A rule for each tier by its band, and one that asks a group in which Bob is not.
BANDS = {"confirm": 10_000, "passkey": 20_000, "typed": 30_000, "critical": 40_000}
OTHERS = 50_000
AIM_MS = 100


def measure(given: argparse.Namespace) -> dict[str, Any]:
    with place.placet() as servers:
        from tests.browser.web import let_people_sign_in, web_process
        from tests.harness import World
        from tests.stack import Stack

        with World(servers) as world:
            let_people_sign_in()
            bench = _Bench(world, servers)
            log = Path(os.environ["PLACET_TEST_WORLD"]) / "web.log"
            told = steps.DEFAULTS | {"PLACET_WORKFLOWS": os.environ["PLACET_WORKFLOWS"]}
            with Stack(servers, **told), web_process(servers, log) as address:
                return bench.measure(address, given)


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
            asked: dict[str, Any] = {"tier": tier, "tool": "transfer"}
            if tier == "critical":
                asked |= {"quorum": 2, "cooling_off_seconds": COOLING_SECONDS}
            self.world.policy(name=f"By {tier}", above_minor=floor, up_to_minor=up_to, **asked)
            floor = up_to
        others = {"tool": "transfer", "group": "treasury"}
        self.world.policy(name="Others", above_minor=floor, up_to_minor=OTHERS, **others)

    def _enrol(self, name: str) -> Any:
        from tests.approvals.enrolled import enrol, season

        key = enrol(getattr(self.world, name), self.devices[name])
        season(key)
        return key

    def measure(self, address: str, given: argparse.Namespace) -> dict[str, Any]:
        """What has been measured is shown at once: on a busy machine all of it takes long."""
        self.payments(WARMING)
        floor = relay.payments(self.servers, given.payments)
        place.show("Floor of a payment, ms", floor)
        idle = self.payments(given.payments)
        place.show("Decision to executed payment, idle, ms", idle)
        gates = self._templates()
        few = looks(address, gates, times=given.looks // 2)
        self._crowd(gates, given.open, given.closed)
        many = looks(address, gates, times=given.looks)
        _show_looks(many, few, f"{given.open} open and {given.closed} closed gates")
        among_many = self.payments(given.payments // 2)
        place.show("Decision to executed payment, with as many open, ms", among_many)
        return {
            "floor of a payment": floor,
            "decision to executed payment, idle": idle,
            "decision to executed payment, with many": among_many,
            "looks with few": few,
            "looks with many": many,
        }

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

        run = self.world.start("transferring", amount_minor=amount)
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
        told = "SELECT count(DISTINCT gate_id) FROM approvals_notice WHERE gate_id = ANY(%s)"
        ids = [gate.id for gate in templates.values()]
        place.wait_until(lambda: place.ask(self.servers, told, ids) == len(ids), "the notices")
        crowd.put(open_count - len(kinds), kinds, reviewer=self.world.bob.pk)
        crowd.put(closed_count, [templates["closed"]], reviewer=self.world.bob.pk)


def _show_looks(many: dict[str, Look], few: dict[str, Look], crowd: str) -> None:
    columns = "ms at p50 and p95, of the processors, times the floor, times those with few"
    place.show(f"With {crowd}: {columns}", beside(many, few))
    slow = [what for what, ms in many.items() if ms["p95"] >= AIM_MS]
    print(f"\nNot within {AIM_MS} ms at p95: {', '.join(slow) or 'none'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, default=OPEN)
    parser.add_argument("--closed", type=int, default=CLOSED)
    parser.add_argument("--looks", type=int, default=LOOKS)
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument("--json", default=os.path.join(tempfile.gettempdir(), "placet-gates.json"))
    given = parser.parse_args()
    place.keep(measure(given), given.json)


if __name__ == "__main__":
    main()

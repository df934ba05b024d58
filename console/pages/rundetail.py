"""One run: its state in words, its steps on a scale of time, its journal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from approvals.models import Decision, Gate
from console import access
from console.models import User
from console.pages import words
from console.pages.doubts import Doubt, doubts_of
from console.pages.endings import end_of
from console.pages.guard import is_fragment, page, person_of
from console.pages.requests import annotated
from console.pages.timeline import Bar, Flow, draw
from console.roles import may
from credentials.models import Lease
from runs.models import Claim, Event, Run, Settlement, Step

SHOWN_STEPS = 200
SHOWN_EVENTS = 50
EFFECTS = {
    "safe": "safe: may be run again",
    "keyed": "keyed: repeated only with the same idempotency key",
    "once": "once: never repeated by the machine",
}
LEGEND = (
    ("good", "Worked"),
    ("running", "Working"),
    ("held", "Held for people"),
    ("queued", "Queued"),
    ("waiting", "Waiting"),
    ("bad", "Failed"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One step with all that belongs to it."""

    step: Step
    bars: list[Bar]
    took: str
    gate: Gate | None
    decisions: list[Decision]
    leases: list[Lease]
    said: list[Settlement] = field(default_factory=list)
    doubt: Doubt | None = None

    @property
    def retry_at(self) -> Any:
        return self.step.not_before if self.step.status in ("ready", "waiting") else None

    @property
    def effect_words(self) -> str:
        return EFFECTS.get(self.step.effect, self.step.effect)


@page("runs.view")
def run(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    found = access.access_run_by_id(person, id)
    seq = _last_seq(found)
    is_part = is_fragment(request) and request.GET.get("part") == "now"
    if is_part and request.GET.get("after") == str(seq):
        return HttpResponse(status=204)
    context = {
        "run": found,
        "seq": seq,
        "is_ended": found.status in Run.ENDED,
        "may_cancel": may(person, "runs.cancel") and found.status not in Run.ENDED,
        "sentence": sentence(found),
        "took": words.span(found.finished_at - found.created_at) if found.finished_at else "",
        **_trace(found),
        **_steps(found, person),
        **_journal(request, found),
    }
    return render(request, "runs/_now.html" if is_part else "runs/detail.html", context)


def sentence(run: Run) -> str:
    """The run's state as one sentence."""
    fixed = {
        "ready": "It is queued: a worker takes it up next.",
        "running": "A worker is on it.",
        "failed": "It failed. What was paid stays paid; nothing further happens.",
        "cancelled": "It was cancelled. What was paid before stays paid.",
        "paused": f"It is paused for a person: {run.waiting_for or 'no reason is recorded'}.",
        "quarantined": "It was set aside, and nothing of it runs until a person has looked at it.",
    }
    if run.status == "succeeded":
        return end_of(run)
    if run.status == "waiting":
        return f"It waits for {run.waiting_for}."
    return fixed.get(run.status, "")


def _last_seq(run: Run) -> int:
    claim = Claim.objects.filter(run=run).only("last_seq").first()
    return claim.last_seq if claim else 0


def _trace(run: Run) -> dict[str, str]:
    newest = Event.objects.filter(tenant=run.tenant, run=run).exclude(trace_id="").order_by("-seq")
    trace_id = newest.values_list("trace_id", flat=True).first() or ""
    template = settings.PLACET_TRACE_URL
    url = template.replace("{trace_id}", trace_id) if template and trace_id else ""
    return {"trace_id": trace_id, "trace_url": url}


def _steps(run: Run, person: User) -> dict[str, Any]:
    steps = list(access.find_steps(run)[:SHOWN_STEPS])
    total = access.find_steps(run).count() if len(steps) == SHOWN_STEPS else len(steps)
    gates = _gates(run, person)
    leases = _leases(steps)
    doubts = {doubt.step.id: doubt for doubt in doubts_of(steps)}
    flow = draw(steps, _changes(run), timezone.now())
    return {
        "rows": [_row(step, flow, gates, leases, doubts) for step in steps],
        "doubts": doubts.values(),
        "flow": flow,
        "legend": [entry for entry in LEGEND if _is_drawn(flow, entry[0])],
        "more_steps": total - len(steps),
        "counts": _counts(steps, total),
        "open_gates": [g for g in gates.values() if g.status == Gate.Status.OPEN],
    }


def _row(
    step: Step,
    flow: Flow,
    gates: dict[UUID, Gate],
    leases: dict[UUID, list[Lease]],
    doubts: dict[UUID, Doubt],
) -> Row:
    gate = gates.get(step.id)
    return Row(
        step=step,
        bars=flow.bars[step.position],
        took=flow.took[step.position],
        gate=gate,
        decisions=sorted(gate.decisions.all(), key=lambda d: d.decided_at) if gate else [],
        leases=leases.get(step.id, []),
        said=list(step.settlements.all()),
        doubt=doubts.get(step.id),
    )


def _gates(run: Run, person: User) -> dict[UUID, Gate]:
    gates = Gate.objects.filter(tenant=run.tenant, run=run, step__position__lt=SHOWN_STEPS)
    gates = gates.select_related("step", "run", "requester").prefetch_related("decisions__person")
    return {gate.step_id: gate for gate in annotated(gates.order_by("step__position"), person)}


def _leases(steps: list[Step]) -> dict[UUID, list[Lease]]:
    found: dict[UUID, list[Lease]] = {}
    for lease in Lease.objects.filter(step__in=steps).select_related("secret").order_by("at"):
        found.setdefault(lease.step_id, []).append(lease)
    return found


def _changes(run: Run) -> list[Event]:
    """The events that move a step, of the steps that are shown."""
    events = Event.objects.filter(
        tenant=run.tenant, run=run, kind__startswith="step.", position__lt=SHOWN_STEPS
    )
    return list(events.only("kind", "position", "at", "seq").order_by("seq"))


def _is_drawn(flow: Flow, what: str) -> bool:
    return any(bar.what == what for bars in flow.bars.values() for bar in bars)


def _counts(steps: list[Step], total: int) -> str:
    if total > len(steps):
        return str(total)
    counted = Counter(step.status for step in steps)
    said = [f"{n} {words.STEP_STATES[s].word.lower()}" for s, n in counted.most_common()]
    return f"{total}: {', '.join(said)}" if said else "none yet"


def _journal(request: HttpRequest, run: Run) -> dict[str, Any]:
    """Newest first; `?before=` goes back."""
    events = Event.objects.filter(tenant=run.tenant, run=run)
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 16:
        events = events.filter(seq__lt=int(before))
    shown = list(events.order_by("-seq")[: SHOWN_EVENTS + 1])
    is_more = len(shown) > SHOWN_EVENTS
    shown = shown[:SHOWN_EVENTS]
    return {"events": shown, "older_events": shown[-1].seq if is_more else 0}

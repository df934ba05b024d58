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

from approvals.canaries import was_canary
from approvals.models import Decision, Gate
from console import access
from console.models import User
from console.pages import words
from console.pages.doubts import Doubt, doubts_of
from console.pages.endings import end_of
from console.pages.family import is_mismatch, mailbox_of, relatives_of, undo_of, waits_of
from console.pages.guard import is_fragment, page, person_of
from console.pages.requests import annotated
from console.pages.timeline import Bar, Flow, draw
from console.roles import may
from credentials.models import Lease
from runs import positions
from runs.models import Claim, Event, Run, Settlement, Step

SHOWN_STEPS = 200
SHOWN_EVENTS = 50
SHOWN_AT_WORK = 5
EFFECTS = {
    "safe": "safe: may be run again",
    "keyed": "keyed: repeated only with the same idempotency key",
    "once": "once: never repeated by the machine",
    "probed": "probed: the provider is asked before it is repeated",
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
    def number(self) -> str:
        """Where it stands in its list; `3.2` is the second in the place of the third."""
        again = positions.replacements(self.step.position)
        number = str(positions.original(self.step.position) + 1)
        return f"{number}.{again + 1}" if again else number

    @property
    def undoes(self) -> str:
        """Which step this one undoes."""
        position = self.step.position
        return str(positions.original(position) + 1) if positions.is_undo(position) else ""

    @property
    def is_tool(self) -> bool:
        return self.step.kind == Step.Kind.TOOL

    @property
    def is_fork_point(self) -> bool:
        return self.step.position < positions.REPLACEMENT

    @property
    def beats(self) -> Any:
        """What the tool told of itself while it ran, or nothing."""
        claim = getattr(self.step, "stepclaim", None)
        return claim if claim is not None and claim.beat_at is not None else None

    @property
    def is_at_work(self) -> bool:
        """Whether its tool runs now, and tells of itself."""
        return self.beats is not None and self.step.status == Step.Status.RUNNING

    @property
    def is_waiting_outside(self) -> bool:
        return self.step.is_remote and self.step.status == Step.Status.WAITING

    @property
    def effect_words(self) -> str:
        return EFFECTS.get(self.step.effect, self.step.effect)


@page("runs.view")
def run(request: HttpRequest, id: UUID) -> HttpResponse:
    person = person_of(request)
    # First of all: what is read later may be newer than the mark, never older, or the page would
    # stay behind and say that it is not.
    seq = _last_seq(id)
    found = access.access_run_by_id(person, id)
    steps = _find_steps(found)
    mark = _mark(found, steps, seq)
    is_part = is_fragment(request) and request.GET.get("part") == "now"
    if is_part and request.GET.get("after") == mark:
        return HttpResponse(status=204)
    relatives = relatives_of(found)
    context = {
        "run": found,
        "seq": seq,
        "mark": mark,
        "is_part": is_part,
        "is_ended": found.status in Run.ENDED,
        "sentence": sentence(found),
        "took": words.span(found.finished_at - found.created_at) if found.finished_at else "",
        "may_fork": may(person, "runs.start"),
        "may_signal": may(person, "runs.signal") and found.status not in Run.ENDED,
        "steering": steering_of(found, person),
        "is_mismatch": is_mismatch(found),
        "relatives": relatives,
        "waits": waits_of(found, steps, relatives),
        "undo": undo_of(found) if found.ending or found.status in Run.ENDED else {},
        **mailbox_of(found, steps),
        **_trace(found),
        **_steps(found, steps, person),
        **_journal(request, found),
    }
    return render(request, "runs/_now.html" if is_part else "runs/detail.html", context)


def _find_steps(run: Run) -> list[Step]:
    """The first of its steps, each followed by those that took its place; then the undos."""
    found = access.find_steps(run)
    steps = list(found.filter(position__lt=positions.UNDO)[: SHOWN_STEPS + 1])
    undos = list(found.filter(position__gte=positions.UNDO).order_by("id")[:SHOWN_STEPS])
    for step in (*steps, *undos):
        step.run = run
    return [*sorted(steps, key=lambda s: (positions.original(s.position), s.position)), *undos]


def _mark(run: Run, steps: list[Step], seq: int) -> str:
    """What the page shows, in short: events, and the progress that makes none."""
    beats = [c.beat_at for s in steps if (c := getattr(s, "stepclaim", None)) and c.beat_at]
    newest = max(beats).timestamp() if beats else 0
    return f"{seq}-{run.progress_done}-{run.progress_total}-{newest:.3f}"


def steering_of(run: Run, person: User) -> list[tuple[str, str, str]]:
    """What this person may ask of the run now: verb, word, icon."""
    if run.status in Run.ENDED or not may(person, "runs.cancel"):
        return []
    is_stopped = run.status in (Run.Status.PAUSED, Run.Status.QUARANTINED)
    is_asked = run.terminate_requested_at is not None
    found = []
    if is_stopped or run.pause_requested_at is not None:
        found.append(("resume", "Resume", "play"))
    elif not is_asked:
        found.append(("pause", "Pause", "pause"))
    if run.cancel_requested_at is None and run.ending is None and not is_asked:
        found.append(("cancel", "Cancel the run", "stop"))
    if not is_asked:
        found.append(("terminate", "Terminate", "cross"))
    return found


def sentence(run: Run) -> str:
    """The run's state as one sentence."""
    fixed = {
        "ready": "It is queued: a worker takes it up next.",
        "running": "A worker is on it.",
        "failed": "It failed. Nothing further happens; what was done and not undone stays done.",
        "cancelled": "It was cancelled. What was done and not undone stays done.",
        "paused": "It is paused. "
        + words.waits_for(run.waiting_for or "a person; no reason is recorded"),
        "quarantined": "It was set aside, and nothing of it runs until a person has looked at it.",
    }
    if run.status == "succeeded":
        return end_of(run)
    if run.is_inert and run.status in Run.ENDED:
        return "It was there to be looked at, and nothing of it was ever run."
    if run.status == "waiting":
        return words.waits_for(run.waiting_for)
    return fixed.get(run.status, "")


def _last_seq(run_id: UUID) -> int:
    claim = Claim.objects.filter(run_id=run_id).only("last_seq").first()
    return claim.last_seq if claim else 0


def _trace(run: Run) -> dict[str, str]:
    newest = Event.objects.filter(tenant=run.tenant, run=run).exclude(trace_id="").order_by("-seq")
    trace_id = newest.values_list("trace_id", flat=True).first() or ""
    template = settings.PLACET_TRACE_URL
    url = template.replace("{trace_id}", trace_id) if template and trace_id else ""
    return {"trace_id": trace_id, "trace_url": url}


def _steps(run: Run, found: list[Step], person: User) -> dict[str, Any]:
    own = [step for step in found if not positions.is_undo(step.position)]
    undos = [step for step in found if positions.is_undo(step.position)]
    total = len(own)
    if total > SHOWN_STEPS:
        total = access.find_steps(run).filter(position__lt=positions.UNDO).count()
    steps = own[:SHOWN_STEPS]
    drawn = [*steps, *undos]
    gates = _gates(drawn, person)
    leases = _leases(drawn)
    doubts = {doubt.step.id: doubt for doubt in doubts_of(drawn)}
    flow = draw(drawn, _changes(run, drawn), timezone.now())
    rows = [_row(step, flow, gates, leases, doubts) for step in drawn]
    return {
        "rows": rows[: len(steps)],
        "undos": rows[len(steps) :],
        "at_work": [row for row in rows if row.is_at_work][:SHOWN_AT_WORK],
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


def _gates(steps: list[Step], person: User) -> dict[UUID, Gate]:
    gates = Gate.objects.filter(step__in=[step for step in steps if step.needs_consent])
    gates = gates.select_related("step", "run", "requester")
    gates = gates.prefetch_related("decisions__person", "decisions__revocation")
    gates = gates.annotate(was_canary=was_canary())
    return {gate.step_id: gate for gate in annotated(gates.order_by("step__position"), person)}


def _leases(steps: list[Step]) -> dict[UUID, list[Lease]]:
    found: dict[UUID, list[Lease]] = {}
    for lease in Lease.objects.filter(step__in=steps).select_related("secret").order_by("at"):
        found.setdefault(lease.step_id, []).append(lease)
    return found


def _changes(run: Run, steps: list[Step]) -> list[Event]:
    """The events that move a step, of the steps that are shown."""
    shown = [step.position for step in steps]
    events = Event.objects.filter(
        tenant=run.tenant, run=run, kind__startswith="step.", position__in=shown
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

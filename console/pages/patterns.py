"""Each component in each state, made from rows that were never saved."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from approvals.models import Decision, Gate
from console.home import BASE_DIR
from console.models import User
from console.pages import words
from console.pages.banners import Banner
from console.pages.family import Wait
from console.pages.gates import DecisionForm
from console.pages.guard import page, person_of
from console.pages.rundetail import LEGEND, Row
from console.pages.scheduleform import rhythm_words
from console.pages.timeline import draw
from runs import canonical
from runs.models import Event, Run, Schedule, Step, Tick

ICONS = re.findall(r'symbol id="([a-z]+)"', (BASE_DIR / "static" / "icons.svg").read_text())
COLOURS = ("accent", "canvas", "surface", "text", "good", "wait", "bad")
PAYEES = ("GB29 NWBK 6016 1331 9268 19", "DE89 3704 0044 0532 0130 00", "NL91 ABNA 0417 1643 00")
SPECIMEN = {
    "iban": "DE89370400440532013000",
    "amount_minor": 9870,
    "currency": "EUR",
    "reference": "Invoice\u202e 2026-117",
    "lines": [
        {"text": "Paper", "amount_minor": 7870, "currency": "EUR"},
        {"text": "", "paid": False},
    ],
    "note": None,
}


SAMPLE_ANSWERS = (
    ("retry", "The step is tried again under the same key; its attempts are counted anew."),
    ("skip", "Nothing is sent. The workflow goes on as if the step had given your result."),
    ("give_up", "The step fails, and the workflow is told so."),
)


class SampleForm(forms.Form):
    """A field in each of its states."""

    plain = forms.CharField(label="A field", help_text="What helps to fill it in.")
    wrong = forms.CharField(label="A field that was filled in wrongly", max_length=3)
    choice = forms.ChoiceField(label="A choice", choices=[("a", "First"), ("b", "Second")])
    text = forms.CharField(label="A longer text", widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"


@page("runs.view")
def patterns(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    person = person_of(request)
    run = _run(person, now)
    steps, events = _flow(run, now)
    flow = draw(steps, events, now)
    rows = [
        Row(
            step=s,
            bars=flow.bars[s.position],
            took=flow.took[s.position],
            gate=None,
            decisions=[],
            leases=[],
        )
        for s in steps
    ]
    context = {
        "icons": ICONS,
        "colours": COLOURS,
        "state_sets": [(kind, list(states)) for kind, states in words.STATES.items()],
        "gates": _gates(run, person, now),
        "closed_gates": _gates(run, person, now, closed=True),
        "runs": [run],
        "form": SampleForm({"plain": "As typed", "wrong": "far too long", "choice": "b"}),
        "decision_form": DecisionForm(),
        "specimen": SPECIMEN,
        "rows": rows,
        "flow": flow,
        "legend": LEGEND,
        "moments": [
            ("ago", now - timedelta(minutes=5)),
            ("left", now + timedelta(hours=3)),
            ("clock", now),
            ("day", now),
        ],
        "decisions": _decisions(person, now),
        "banners": _banners(now),
        **_durable(run, person, now),
        "error_message": "The bank answered 503: <script>alert(1)</script> is shown as text.",
    }
    return render(request, "console/patterns.html", context)


def _banners(now: datetime) -> list[Banner]:
    """What everybody is told while it lasts."""
    said: list[tuple[str, str, str, str, datetime | None]] = [
        ("The tool pay is frozen.", "Two invoices have one number.", "bad", "lock", None),
        (
            "The glass is broken.",
            "bob and carol may decide at every gate: nobody else can be reached.",
            "bad",
            "alert",
            now + timedelta(minutes=25),
        ),
        ("A review is overdue.", "bob and carol broke the glass.", "wait", "alert", None),
    ]
    return [
        Banner(title=title, text=text, tone=tone, icon=icon, address="#main", action="More",
               until=until)
        for title, text, tone, icon, until in said
    ]  # fmt: skip


def _durable(run: Run, person: User, now: datetime) -> dict[str, Any]:
    """What runs wait for, whom they started, what starts them."""
    schedules = _schedules(person, now)
    return {
        "steering": [
            ("resume", "Resume", "play"),
            ("pause", "Pause", "pause"),
            ("cancel", "Cancel the run", "stop"),
            ("terminate", "Terminate", "cross"),
        ],
        "waits": [
            Wait(text="The signal “go”", until=now + timedelta(hours=3)),
            Wait(
                text="An answer to “Is this the right account?”", address="#main", action="Answer"
            ),
            Wait(text="7 of the 100 runs that it started"),
        ],
        "answers": [
            {"name": answer, "state": words.ANSWERS[answer], "does": does, "field": None}
            for answer, does in SAMPLE_ANSWERS
        ],
        "schedules": schedules,
        "times": [now + timedelta(days=day) for day in range(1, 4)],
        "counts": [("failed", 3), ("waiting", 7), ("succeeded", 90)],
    }


def _schedules(person: User, now: datetime) -> list[Schedule]:
    found = []
    for index, name in enumerate(("Every morning", "Month end", "Poll the bank")):
        schedule = Schedule(
            tenant=person.tenant,
            name=name,
            workflow="pay_invoices",
            owner=person,
            cron="" if index == 2 else ("0 9 * * 1-5", "30 18 28-31 * *")[index],
            interval_seconds=30 if index == 2 else None,
            time_zone="Europe/Paris",
            next_at=None if index == 1 else now + timedelta(hours=9),
            paused_at=now if index == 1 else None,
        )
        outcome = ("started", "missed", "skipped")[index]
        schedule.words = rhythm_words(schedule)  # type: ignore[attr-defined]
        schedule.last = Tick(at=now - timedelta(hours=index), outcome=outcome)  # type: ignore[attr-defined]
        found.append(schedule)
    return found


def _run(person: User, now: datetime) -> Run:
    return Run(
        tenant=person.tenant,
        workflow="pay_invoices",
        version=1,
        status="waiting",
        requested_by=person,
        waiting_for="two people at gates",
        created_at=now - timedelta(minutes=12),
        waiting_since=now - timedelta(minutes=11),
    )


def _gates(run: Run, person: User, now: datetime, *, closed: bool = False) -> list[Gate]:
    statuses = ("approved", "denied", "expired") if closed else ("open", "open", "open")
    left = (timedelta(hours=20), timedelta(minutes=50), timedelta(minutes=4))
    found = []
    for index, status in enumerate(statuses):
        gate = Gate(
            tenant=run.tenant,
            run=run,
            requester=person,
            status=status,
            tool="send_payment",
            amount_minor=(9870, 1_250_000, 99)[index],
            currency=("EUR", "GBP", "SEK")[index],
            payee=PAYEES[index],
            payee_name=("ACME Ltd", "Fernhill GmbH", "")[index],
            quorum=2,
            opened_at=now - timedelta(hours=3),
            expires_at=now + left[index],
            closed_at=now - timedelta(minutes=index) if closed else None,
        )
        gate.approvals = index % 2  # type: ignore[attr-defined]
        gate.payment = "paid" if status == "approved" else status  # type: ignore[attr-defined]
        gate.my_note = ("", "you approved", "your own")[index]  # type: ignore[attr-defined]
        found.append(gate)
    return found


def _decisions(person: User, now: datetime) -> list[Decision]:
    return [
        Decision(person=person, verdict="approve", decided_at=now - timedelta(minutes=9)),
        Decision(
            person=person,
            verdict="deny",
            decided_at=now - timedelta(minutes=2),
            reason="The account is not the one on the invoice.",
        ),
    ]


def _flow(run: Run, now: datetime) -> tuple[list[Step], list[Event]]:
    """One step of each kind, and the events that their bars are drawn from."""
    begin = now - timedelta(minutes=12)
    steps: list[Step] = []
    events: list[Event] = []
    for position, (name, status, story) in enumerate(_STORIES):
        for offset, kind in story:
            at = begin + timedelta(seconds=offset)
            events.append(Event(run=run, seq=len(events) + 1, kind=kind, position=position, at=at))
        is_over = status in Step.ENDED
        end = begin + timedelta(seconds=story[-1][0]) if is_over else None
        steps.append(_step(run, position=position, name=name, status=status, begin=begin, end=end))
    return steps, events


def _step(
    run: Run, *, position: int, name: str, status: str, begin: datetime, end: datetime | None
) -> Step:
    arguments = canonical.encode({"position": position, "amount_minor": 9870, "currency": "EUR"})
    failed = {"kind": "BankError", "message": "The bank answered 503."}
    return Step(
        run=run,
        tenant=run.tenant,
        position=position,
        name=name,
        status=status,
        attempt=1,
        arguments=arguments,
        digest=hashlib.sha256(arguments).digest(),
        key=uuid.uuid5(uuid.NAMESPACE_OID, name).hex,
        effect="keyed",
        is_remote=True,
        created_at=begin,
        started_at=begin,
        finished_at=end,
        error=failed if status in ("failed", "in_doubt", "paused") else None,
    )


_STORIES: tuple[tuple[str, str, tuple[tuple[float, str], ...]], ...] = (
    ("read_invoices", "succeeded", ((0, "step.started"), (2.4, "step.succeeded"))),
    (
        "send_payment",
        "succeeded",
        ((3, "step.held"), (400, "step.cleared"), (401, "step.started"), (402.5, "step.succeeded")),
    ),
    (
        "send_payment",
        "failed",
        (
            (3, "step.held"),
            (420, "step.cleared"),
            (421, "step.started"),
            (424, "step.attempt_failed"),
            (430, "step.started"),
            (433, "step.failed"),
        ),
    ),
    ("send_payment", "denied", ((3, "step.held"), (500, "step.denied"))),
    (
        "recall_payment",
        "in_doubt",
        ((434, "step.ready"), (435, "step.started"), (440, "step.in_doubt")),
    ),
    (
        "seat",
        "paused",
        ((441, "step.ready"), (442, "step.started"), (444, "step.paused")),
    ),
    ("sleep", "waiting", ((441, "step.waiting"),)),
    ("send_payment", "held", ((3, "step.held"),)),
    ("report", "running", ((715, "step.started"),)),
)

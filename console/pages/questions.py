"""Questions that runs ask people: the list, and one of them as a form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from console import access, deeds
from console.models import User
from console.pages.faults import focus_first
from console.pages.guard import is_fragment, page, person_of
from console.pages.startform import JsonField, StartForm, read_input
from console.roles import may
from runs import questions
from runs.errors import InvalidInput, Refused
from runs.models import Signal, Step

SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Question:
    """A step that asks, and what it asks."""

    step: Step
    text: str
    form: dict[str, Any]

    @classmethod
    def of(cls, step: Step) -> Question:
        text, form = questions.form_of(step)
        return cls(step=step, text=text, form=form)


def find_open(person: User, *, limit: int = SHOWN) -> list[Question]:
    """The questions that nobody has answered, the oldest first."""
    return [Question.of(step) for step in access.find_questions(person)[:limit]]


@page("runs.view")
def all_questions(request: HttpRequest) -> HttpResponse:
    found = find_open(person_of(request), limit=SHOWN + 1)
    context = {"questions": found[:SHOWN], "is_more": len(found) > SHOWN}
    template = "runs/_questions.html" if is_fragment(request) else "runs/questions.html"
    return render(request, template, context)


@page("runs.view", methods=("GET", "POST"))
def question(request: HttpRequest, id: UUID, position: int) -> HttpResponse:
    person = person_of(request)
    right = "questions.answer" if request.method == "POST" else "runs.view"
    step = access.access_step(person, id, position, right=right)
    if step.kind != Step.Kind.ASK:
        raise access.NotFound("There is no such question.")
    asked = Question.of(step)
    form = AnswerForm(asked.form, request.POST or None)
    if request.method == "POST" and form.is_valid() and _answer(request, step, form):
        messages.success(request, "Your answer was given to the run.")
        return redirect("run", id=step.run_id)
    focus_first(form)
    given = questions.find_answer(step)
    context = {
        "question": asked,
        "run": step.run,
        "step": step,
        "form": form,
        "given": given,
        "is_open": given is None and step.status == Step.Status.WAITING,
        "may_answer": may(person, "questions.answer"),
    }
    return render(request, "runs/question.html", context, status=422 if form.errors else 200)


class AnswerForm(StartForm):
    """One field a property of the question's form; anything but an object is typed as JSON."""

    def __init__(self, schema: dict[str, Any], data: Any = None) -> None:
        super().__init__(schema, data)
        self.is_object = bool(schema.get("properties")) or schema.get("type") == "object"
        if not self.is_object:
            self.fields["input.value"] = JsonField(label="Answer", required=False)
            self.fields["input.value"].note = "JSON"  # type: ignore[attr-defined]

    @property
    def values(self) -> Any:
        return read_input(self) if self.is_object else self.cleaned_data["input.value"]


def _answer(request: HttpRequest, step: Step, form: AnswerForm) -> Signal | None:
    try:
        return deeds.answer_question(
            person_of(request), step.run_id, step.position, values=form.values, request=request
        )
    except InvalidInput as refusal:
        form.take_faults(refusal.errors)
    except Refused as refusal:
        form.add_error(None, f"Nothing was recorded. {refusal.message}")
    return None

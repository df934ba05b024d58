"""Settling doubts: who may say what became of it, how many must, and what follows."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from runs import settlements
from runs.errors import SettlementRefused
from runs.models import Effect, Event, Run, Settlement, Step, new_id
from tests import zoo
from tests.harness import World, as_role
from tests.zoo import ledger


def doubtful(world: World) -> Step:
    """A launch whose answer was lost."""
    (zoo.world_dir() / "launch-drops").write_text("1")
    run = world.start("launching", name="x")
    world.settle()
    (step,) = world.steps(run)
    assert step.status == "in_doubt"
    return step


def doubtful_payment(world: World) -> Step:
    """A payment whose executor broke off in every attempt."""
    run = world.park_at_gates(5000)
    world.approve_all(run)
    world.keep_gates()
    step = Step.objects.get(run=run, is_money=True)
    (zoo.world_dir() / "pay-breaks").write_text("99")
    while Step.objects.get(pk=step.pk).status != "in_doubt":
        world.execute()
    (zoo.world_dir() / "pay-breaks").write_text("0")
    return Step.objects.get(pk=step.pk)


def say(world: World, step: Step, person: Any, answer: str, **more: Any) -> Settlement:
    with as_role("placet_web"):
        return settlements.settle(
            step=step, person=person, answer=answer, reason="Asked the provider.", **more
        )


def after(world: World, step: Step) -> tuple[Step, Run]:
    world.settle()
    return Step.objects.get(pk=step.pk), world.run_now(step.run)


def test_it_happened_gives_the_step_its_result(world: World) -> None:
    step = doubtful(world)
    say(world, step, world.bob, "happened", result={"name": "x"})
    settled, run = after(world, step)
    assert (settled.status, run.status) == ("succeeded", "succeeded")
    assert world.result(run) == {"name": "x"}
    assert len(ledger("launched")) == 1
    assert Effect.objects.get(step=step).status == "succeeded"
    kinds = list(Event.objects.filter(run=run).order_by("seq").values_list("kind", flat=True))
    assert kinds[-3:] == ["settlement.made", "step.settled", "run.succeeded"]


def test_it_did_not_happen_runs_it_again_under_its_key(world: World) -> None:
    step = doubtful(world)
    say(world, step, world.bob, "did_not_happen")
    settled, run = after(world, step)
    assert (settled.status, settled.attempt, run.status) == ("succeeded", 2, "succeeded")
    assert len({entry["key"] for entry in ledger("launched")}) == 1


def test_giving_up_fails_the_step_and_keeps_the_doubt_on_record(world: World) -> None:
    step = doubtful(world)
    say(world, step, world.bob, "give_up")
    settled, run = after(world, step)
    assert (settled.status, run.status) == ("failed", "failed")
    assert run.error == {
        "kind": "StepFailed",
        "message": "Given up in doubt: Asked the provider.",
    }
    assert Effect.objects.get(step=step).status == "in_doubt"


def test_for_money_two_people_must_say_the_same(world: World) -> None:
    step = doubtful_payment(world)
    say(world, step, world.bob, "did_not_happen")
    assert after(world, step)[0].status == "in_doubt"
    say(world, step, world.carol, "did_not_happen")
    settled, run = after(world, step)
    assert (settled.status, run.status) == ("succeeded", "succeeded")
    assert len(ledger("paid")) == 1


def test_for_money_two_people_who_differ_settle_nothing(world: World) -> None:
    step = doubtful_payment(world)
    say(world, step, world.bob, "happened", result={"paid": 5000})
    say(world, step, world.carol, "did_not_happen")
    assert after(world, step)[0].status == "in_doubt"
    assert ledger("paid") == []


def test_about_money_only_its_reviewers_answer(world: World) -> None:
    step = doubtful_payment(world)
    with pytest.raises(SettlementRefused, match="only members of the group 'payments' settle it"):
        say(world, step, world.mallory, "did_not_happen")
    say(world, step, world.bob, "did_not_happen")


def test_the_second_person_confirms_the_result_that_the_first_one_named(world: World) -> None:
    step = doubtful_payment(world)
    say(world, step, world.bob, "happened", result={"reference": "X1"})
    with pytest.raises(SettlementRefused, match="give the same one to confirm it"):
        say(world, step, world.carol, "happened", result={"reference": "x1"})
    say(world, step, world.carol, "happened", result={"reference": "X1"})
    assert after(world, step)[0].status == "succeeded"
    assert ledger("paid") == []


@pytest.mark.parametrize(
    ("who", "answer", "reason", "sentence"),
    [
        ("alice", "happened", "x", "You requested this run, so somebody else must settle it."),
        ("bob", "perhaps", "x", "An answer is one of happened, did_not_happen, undo, give_up."),
        ("bob", "happened", "  ", "Say how you know it: a reason is needed."),
        ("bob", "happened", "x" * 1001, "at most 1000 are kept"),
        ("bob", "happened", "x\0", "NUL character"),
    ],
)
def test_what_is_no_answer_is_refused(
    world: World, who: str, answer: str, reason: str, sentence: str
) -> None:
    step = doubtful(world)
    with as_role("placet_web"), pytest.raises(SettlementRefused, match=sentence):
        settlements.settle(
            step=step, person=getattr(world, who), answer=answer, reason=reason, result=1
        )
    assert not Settlement.objects.exists()
    say(world, step, world.bob, "happened", result=1)


def test_one_person_has_one_voice(world: World) -> None:
    step = doubtful_payment(world)
    say(world, step, world.bob, "did_not_happen")
    with pytest.raises(SettlementRefused, match="one person has one voice"):
        say(world, step, world.bob, "did_not_happen")
    assert after(world, step)[0].status == "in_doubt"


def test_a_step_that_is_not_in_doubt_cannot_be_settled(world: World) -> None:
    run = world.start("launching", name="x")
    world.settle()
    (step,) = world.steps(run)
    with pytest.raises(SettlementRefused, match="The step is succeeded, so there is no doubt"):
        say(world, step, world.bob, "happened", result=1)


def test_a_second_doubt_needs_new_answers(world: World) -> None:
    step = doubtful(world)
    (zoo.world_dir() / "launch-drops").write_text("1")
    say(world, step, world.bob, "did_not_happen")
    again, _ = after(world, step)
    assert (again.status, again.attempt) == ("in_doubt", 2)
    say(world, again, world.bob, "happened", result=1)
    assert after(world, step)[0].status == "succeeded"


def test_a_run_that_is_to_be_cancelled_ends_when_its_doubt_is_settled(world: World) -> None:
    from runs.steering import request_cancel

    step = doubtful(world)
    with as_role("placet_web"):
        request_cancel(run=step.run, actor="alice")
    _, run = after(world, step)
    assert run.waiting_for == "a person to say what became of launch: its outcome is in doubt"
    say(world, step, world.bob, "give_up")
    assert after(world, step)[1].status == "cancelled"


def test_no_process_leaves_a_doubt_without_what_people_said(world: World) -> None:
    """The database asks for the voices, also of the executor that carries it out."""
    step = doubtful_payment(world)
    say(world, step, world.bob, "happened", result={"paid": 5000})
    wanted = "UPDATE runs_step SET status = 'succeeded' WHERE id = %s"
    for role, why in (
        ("placet_executor", "settlement voices: 1 have said"),
        ("placet_worker", "only the executor claims and settles"),
        ("placet_gatekeeper", "only the executor claims and settles"),
    ):
        with psycopg.connect(world.servers.database_url(role)) as attacker:
            with pytest.raises(psycopg.Error, match=why):
                attacker.execute(wanted, [step.pk])


def test_web_cannot_settle_for_another_by_sql_and_nobody_rewrites_what_was_said(
    world: World,
) -> None:
    step = doubtful(world)
    insert = (
        "INSERT INTO runs_settlement (id, tenant, step_id, attempt, person_id, answer, reason,"
        " writer) VALUES (%s, %s, %s, %s, %s, 'give_up', 'x', '')"
    )
    url = world.servers.database_url("placet_web")
    with psycopg.connect(url) as attacker, pytest.raises(psycopg.Error, match="settlement seal"):
        attacker.execute(insert, [new_id(), step.tenant, step.pk, step.attempt, world.bob.pk])
    say(world, step, world.bob, "give_up")
    with psycopg.connect(url) as attacker, pytest.raises(psycopg.Error, match="permission denied"):
        attacker.execute("DELETE FROM runs_settlement")
    with psycopg.connect(world.servers.database_url("placet_owner")) as owner:
        with pytest.raises(psycopg.Error, match="append-only"):
            owner.execute("DELETE FROM runs_settlement")


def test_an_effect_that_did_not_happen_is_not_run_again_while_the_run_is_cancelled(
    world: World,
) -> None:
    from runs.steering import request_cancel

    step = doubtful(world)
    with as_role("placet_web"):
        request_cancel(run=step.run, actor="alice")
    world.settle()
    say(world, step, world.bob, "did_not_happen")
    settled, run = after(world, step)
    assert (settled.status, run.status) == ("cancelled", "cancelled")
    assert len(ledger("launched")) == 1


def test_the_words_of_a_doubt_stay_while_other_steps_go_on(world: World) -> None:
    step = doubtful(world)
    with as_role("placet_worker"):
        from runs import transitions

        transitions.wake(step.run_id)
    world.settle()
    assert world.run_now(step.run).waiting_for == (
        "a person to say what became of launch: its outcome is in doubt"
    )

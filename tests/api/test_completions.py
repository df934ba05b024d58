"""POST completions/{token}: the outside says what became of a step that was left to it."""

from __future__ import annotations

import pytest

from runs.models import Completion, Run
from tests import zoo
from tests.api import callers
from tests.harness import World


@pytest.fixture
def left(world: World) -> Run:
    """A run whose step was handed to the outside."""
    run = world.start("calling", tool="hand_over", arguments={})
    world.settle()
    return run


def token() -> str:
    return (zoo.world_dir() / "token").read_text()


def test_whoever_has_the_token_completes_the_step_once(world: World, left: Run) -> None:
    outside = callers.Caller()
    answer = outside.post(f"completions/{token()}", {"result": {"parcel": 7}})
    assert answer.status_code == 201, answer.content
    assert answer.json()["attempt"] == 1
    again = outside.post(f"completions/{token()}", {"result": {"parcel": 7}})
    assert callers.problem(again) == (409, "completion-refused")
    assert Completion.objects.count() == 1
    world.settle()
    assert world.result(left) == {"parcel": 7}


def test_an_error_fails_the_step(world: World, left: Run) -> None:
    assert callers.Caller().post(f"completions/{token()}", {"error": "lost"}).status_code == 201
    world.settle()
    assert world.run_now(left).status == "failed"
    assert "lost" in (world.run_now(left).error or {})["message"]


@pytest.mark.parametrize("body", [{}, {"result": 1, "error": "both"}])
def test_it_is_either_a_result_or_an_error(left: Run, body: dict[str, object]) -> None:
    refused = callers.Caller().post(f"completions/{token()}", body)
    assert callers.problem(refused) == (422, "invalid-request")
    assert not Completion.objects.exists()


def test_a_wrong_token_completes_nothing_and_tells_nothing(left: Run) -> None:
    right = token()
    for wrong in ("x", right[:-1] + ("a" if right[-1] != "a" else "b"), callers.ABSENT + ".1.x"):
        answer = callers.Caller().post(f"completions/{wrong}", {"result": 1})
        assert callers.problem(answer) == (409, "completion-refused")
        assert answer.json()["detail"].startswith("This token completes nothing")
    assert not Completion.objects.exists()


def test_no_log_and_no_trace_tells_a_token_that_is_still_good(
    left: Run, caplog: pytest.LogCaptureFixture
) -> None:
    from console.telemetry import _clean_value

    told = token()
    # Refused for its body: Django logs the path, and the token has not been used.
    assert callers.Caller().post(f"completions/{told}", {}).status_code == 422
    assert "/api/v1/completions/..." in caplog.text
    assert told not in caplog.text
    assert _clean_value("url.path", f"/api/v1/completions/{told}") == "/api/v1/completions/..."


def test_a_line_that_does_not_fit_its_arguments_is_no_error_of_who_logs_it() -> None:
    import logging

    from console.addresses import TokenFilter

    broken = logging.LogRecord("x", logging.WARNING, "", 0, "broken %d", ("text",), None)
    assert TokenFilter().filter(broken)

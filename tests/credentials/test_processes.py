"""A real executor, traced and logging, runs tools that give their secret away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from credentials.models import Lease, Secret
from credentials.redaction import forms
from runs.telemetry import trace_id
from tests.credentials.room import CANARY
from tests.harness import World
from tests.telemetry.sink import listening

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("how", ["return", "raise", "refuse"])
def test_a_value_leaves_an_executor_neither_in_its_output_nor_in_its_spans(
    room: World, secret: Secret, how: str
) -> None:
    room.start("blabbing", how=how)
    room.work()
    with listening() as sink:
        environment = room.servers.environment("executor") | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "PLACET_WORKFLOWS": "tests.credentials.tools",
            "PLACET_TEST_WORLD": os.environ["PLACET_TEST_WORLD"],
        }
        executor = subprocess.run(
            [sys.executable, "-m", "tests.telemetry.traced", "drain", sink.url],
            cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    output = (executor.stdout + executor.stderr).decode()
    lease = Lease.objects.earliest("at")
    attempt = sink.named("execute_tool blab")[0]
    assert attempt.span.trace_id.hex() == trace_id(lease.step_id, lease.fence)
    assert "the key is [redacted:bank/payments/api_key]" in output
    everything = output + b"".join(sink.bodies).decode("latin-1")
    assert not [form for form in forms(CANARY) if form in everything]

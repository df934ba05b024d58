"""Whether traces are asked for: apart from what makes them, which takes a tenth of the time that a
process needs to start.

Nothing is set up unless a standard variable asks for an export by OTLP over HTTP:
`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or
`OTEL_TRACES_EXPORTER=otlp`; `OTEL_SDK_DISABLED=true` wins over all of them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

logger = logging.getLogger(__name__)


def setup() -> None:
    """Starts tracing if the environment asks for it."""
    if is_asked_for(os.environ):
        from console import telemetry

        telemetry.setup()


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces by OTLP over HTTP."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    is_wanted = (
        "otlp" in exporters.split(",")
        if exporters
        else bool(
            environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
            or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        )
    )
    if is_wanted and _protocol(environ) not in ("", "http/protobuf"):
        logger.warning("No traces are exported: only OTLP over http/protobuf is supported.")
        return False
    return is_wanted


def _protocol(environ: Mapping[str, str]) -> str:
    general = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general).strip().lower()

"""Every limit of the engine, by name. docs/limits.md is tested against this module."""

MAX_PAYLOAD_BYTES = 262_144
"""Canonical bytes of one input, one step's arguments, or one result."""

MAX_DEPTH = 32
"""How deep lists and objects may be nested in one payload."""

MAX_STEPS = 10_000
"""Steps in one run."""

MAX_REPLACEMENTS = 9
"""How often people may give one step other arguments."""

MAX_GATHER = 1_000
"""Steps in one `run.gather`."""

MAX_IDEMPOTENCY_KEY = 255
"""Characters in the `Idempotency-Key` of a start."""

MAX_REASON_CHARACTERS = 1_000
"""Characters of the reason that settles a doubt."""

MAX_ERROR_CHARACTERS = 2_000
"""Characters kept of an error's message."""

MAX_FAULTS = 20
"""Faults of one input that are named at once."""

MAX_FAULT_CHARACTERS = 300
"""Characters kept of the message of one fault, which may quote the input."""

MAX_NOTE_CHARACTERS = 255
"""Characters kept of a progress note."""

MAX_SLEEP_SECONDS = 366 * 24 * 60 * 60
"""The longest `run.sleep`."""

MAX_AMOUNT_MINOR = 10**15
"""The largest amount of a money step, in minor units."""

SLICE_SECONDS = 60.0
"""How long one Celery message keeps taking further work before it returns."""

SWEEP_BATCH = 200
"""Rows that one pass of a sweep repairs."""

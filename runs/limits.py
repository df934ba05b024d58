"""Every limit of the engine, by name. docs/limits.md is tested against this module."""

MAX_PAYLOAD_BYTES = 262_144
"""Canonical bytes of one input, one step's arguments, or one result."""

APART_BYTES = 65_536
"""Canonical bytes of a result, above which a slice reads it only when the workflow asks."""

MAX_DEPTH = 32
"""How deep lists and objects may be nested in one payload."""

MAX_STEPS = 10_000
"""Steps in one run."""

MAX_REPLACEMENTS = 9
"""How often people may give one step other arguments."""

MAX_GATHER = 1_000
"""Steps in one `run.gather`."""

MAX_MAILBOX = 1_000
"""Messages that a run has not taken yet."""

MAX_SIGNAL_NAME = 100
"""Characters in the name of a signal."""

MAX_CHILDREN = 1_000
"""Runs that one run starts."""

MAX_ANCESTORS = 32
"""How deep runs that start runs may be nested."""

MAX_REPLAYED = 10_000
"""Runs that one `manage.py replay` takes of a workflow."""

WARN_EVENTS = 4_096
"""Events in a journal, above which a run should go on in a new one."""

MAX_EVENTS = 50_000
"""Events in a journal; a run that has so many is quarantined, and says so."""

MAX_QUESTION_CHARACTERS = 2_000
"""Characters of a question that a run asks people."""

MAX_FORM_PARTS = 2_000
"""Parts of the form of a question, each counted as often as it is referred to."""

MAX_IDEMPOTENCY_KEY = 255
"""Characters in the `Idempotency-Key` of a start."""

MAX_REASON_CHARACTERS = 1_000
"""Characters of the reason that settles a doubt, or steers a run."""

MAX_BULK = 1_000
"""Runs that one bulk action steers."""

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

MAX_SCHEDULES = 1_000
"""Schedules of one tenant."""

MAX_SCHEDULE_NAME = 128
"""Characters in the name of a schedule."""

MAX_CRON_CHARACTERS = 255
"""Characters of a cron expression."""

MIN_INTERVAL_SECONDS = 1
"""The shortest interval of a schedule."""

MAX_INTERVAL_SECONDS = 366 * 24 * 60 * 60
"""The longest interval of a schedule."""

MIN_CATCH_UP_SECONDS = 10
"""The shortest window within which a late tick still starts its run."""

MAX_CATCH_UP_SECONDS = 31 * 24 * 60 * 60
"""The longest such window."""

MAX_JITTER_SECONDS = 24 * 60 * 60
"""The longest that a schedule spreads its runs over."""

MAX_QUEUED_TICKS = 100
"""Ticks of one schedule that wait for a run to end, those of a backfill not counted."""

MAX_BACKFILL = 1_000
"""Ticks of one schedule that wait to be run by a backfill."""

MAX_MISSED_COUNTED = 10_000
"""Missed ticks that are counted one by one; of more it is said that there are more."""

MAX_NEXT_TIMES = 100
"""Times of a schedule that are told in advance."""

MAX_DEADLINE_SECONDS = 366 * 24 * 60 * 60
"""The longest that a run may be given for all its work."""

MAX_AMOUNT_MINOR = 10**15
"""The largest amount of a money step, in minor units."""

SLICE_SECONDS = 60.0
"""How long a hint keeps taking further work before whoever got it looks at the next."""

STUCK_SECONDS = 1_500.0
"""How long a workflow's own code may take from one step to the next; then its process ends."""

LISTEN_SECONDS = 200.0
"""How long a child listens for hints by itself before it returns to Celery."""

SWEEP_BATCH = 200
"""Rows that one pass of a sweep repairs."""

MAX_ATTEMPTS = 100
"""Attempts that a `Retry` may ask for."""

MAX_RETRY_TOTAL_SECONDS = 31_622_400
"""The longest `total_seconds` of a `Retry`."""

MAX_RETRY_LATER_SECONDS = 86_400
"""How long a provider may put a step off (`RetryLater`)."""

MAX_DEATHS = 5
"""Processes lost in one step, or in one place of a workflow; then it is poison."""

MAX_TIMEOUT_SECONDS = 86_400
"""The longest attempt in the executor. What takes longer is completed later."""

MAX_LOCAL_TIMEOUT_SECONDS = 1_200
"""The longest attempt of a safe tool in the worker."""

TIMEOUT_SECONDS = 600
"""How long an attempt takes, at most, where its tool says nothing."""

TIMEOUT_GRACE_SECONDS = 5.0
"""How long a tool has to leave when its time is over, before its process is ended."""

MAX_DETAILS_BYTES = 16_384
"""Canonical bytes of the details of a heartbeat."""

BEAT_SECONDS = 1.0
"""How often, at most, a heartbeat is written down."""

READY_AHEAD = 500
"""Ready runs at which no further timer wakes one, so that new runs do not wait behind them."""

SCHEDULES_A_PASS = 50
"""Schedules that one pass of a sweep looks after."""

TICKS_A_PASS = 100
"""Ticks of one schedule that one pass of a sweep decides on."""

MAX_IMITATED_STEPS = 20
"""Steps of a former run that a run which is only looked at is given."""

REFUSED_SECONDS = 10
"""How long a step is put off whose claim the database refused, for instance while it is frozen."""

REFUSED_KEPT = 1_000
"""Such refusals that an executor remembers, so that each is logged once."""

MAX_AGENT_CHARACTERS = 128
"""Characters of the name of an agent, on whose part a workflow's runs act."""

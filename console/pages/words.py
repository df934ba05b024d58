"""States, events, amounts and spans in words: how rows are said to people."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runs.canonical import CURRENCIES


@dataclass(frozen=True, kw_only=True)
class State:
    """A state as it is shown: never by colour alone."""

    word: str
    icon: str
    tone: str


RUN_STATES = {
    "ready": State(word="Queued", icon="dots", tone="calm"),
    "running": State(word="Running", icon="turn", tone="live"),
    "waiting": State(word="Waiting", icon="clock", tone="wait"),
    "paused": State(word="Paused", icon="pause", tone="bad"),
    "quarantined": State(word="Quarantined", icon="alert", tone="bad"),
    "succeeded": State(word="Succeeded", icon="check", tone="good"),
    "failed": State(word="Failed", icon="cross", tone="bad"),
    "cancelled": State(word="Cancelled", icon="stop", tone="calm"),
}
STEP_STATES = {
    "held": State(word="Held", icon="hand", tone="wait"),
    "ready": State(word="Queued", icon="dots", tone="calm"),
    "running": State(word="Running", icon="turn", tone="live"),
    "waiting": State(word="Waiting", icon="clock", tone="wait"),
    "succeeded": State(word="Succeeded", icon="check", tone="good"),
    "failed": State(word="Failed", icon="cross", tone="bad"),
    "denied": State(word="Denied", icon="stop", tone="bad"),
    "cancelled": State(word="Cancelled", icon="stop", tone="calm"),
    "in_doubt": State(word="In doubt", icon="question", tone="bad"),
    "paused": State(word="Paused for a person", icon="pause", tone="bad"),
}
GATE_STATES = {
    "open": State(word="Open", icon="hand", tone="wait"),
    "approved": State(word="Approved", icon="check", tone="good"),
    "denied": State(word="Denied", icon="cross", tone="bad"),
    "expired": State(word="Expired", icon="clock", tone="calm"),
    "withdrawn": State(word="Withdrawn", icon="stop", tone="calm"),
    "changes_requested": State(word="Changes requested", icon="turn", tone="wait"),
    "revoked": State(word="Approval taken back", icon="turn", tone="bad"),
}
PAYMENT_STATES = {
    **GATE_STATES,
    "paid": State(word="Paid", icon="check", tone="good"),
    "cleared": State(word="Approved, on its way", icon="turn", tone="live"),
    "unpaid": State(word="Approved but not paid", icon="cross", tone="bad"),
    "done": State(word="Done", icon="check", tone="good"),
    "undone": State(word="Approved but not done", icon="cross", tone="bad"),
    "in_doubt": State(word="In doubt", icon="question", tone="bad"),
    "given_up": State(word="Given up in doubt", icon="question", tone="bad"),
    "canary": State(word="Canary, a test", icon="info", tone="calm"),
}
VERDICTS = {
    "approve": State(word="Approved", icon="check", tone="good"),
    "deny": State(word="Denied", icon="cross", tone="bad"),
    "changes": State(word="Asked for changes", icon="turn", tone="wait"),
}
ANSWERS = {
    "happened": State(word="It happened", icon="check", tone="good"),
    "did_not_happen": State(word="It did not happen", icon="turn", tone="calm"),
    "retry": State(word="Retry", icon="turn", tone="calm"),
    "retry_with": State(word="Retry with other arguments", icon="turn", tone="calm"),
    "skip": State(word="Skip with this result", icon="check", tone="calm"),
    "undo": State(word="Undo and end", icon="stop", tone="bad"),
    "give_up": State(word="Give up", icon="cross", tone="bad"),
}
OUTCOMES = {
    "started": State(word="Started", icon="play", tone="good"),
    "queued": State(word="Queued", icon="dots", tone="calm"),
    "skipped": State(word="Skipped", icon="stop", tone="wait"),
    "missed": State(word="Missed", icon="alert", tone="bad"),
    "refused": State(word="Refused", icon="cross", tone="bad"),
}
SCHEDULE_STATES = {
    "active": State(word="Active", icon="clock", tone="live"),
    "paused": State(word="Paused", icon="pause", tone="wait"),
    "over": State(word="No time comes any more", icon="stop", tone="calm"),
}
KEY_STATES = {
    "standing": State(word="Signs", icon="check", tone="good"),
    "fresh": State(word="Fresh", icon="clock", tone="live"),
    "waiting": State(word="Waiting", icon="clock", tone="wait"),
    "revoked": State(word="Revoked", icon="stop", tone="calm"),
}
OVERLAPS = {
    "skip": "The new run is left out.",
    "queue": "The new run waits for the old one.",
    "cancel": "The old run is cancelled first.",
    "allow": "Both run side by side.",
}
CHANGE_STATES = {
    "open": State(word="Open", icon="hand", tone="wait"),
    "applied": State(word="Applied", icon="check", tone="good"),
    "refused": State(word="Refused", icon="cross", tone="bad"),
    "expired": State(word="Expired", icon="clock", tone="calm"),
    "withdrawn": State(word="Withdrawn", icon="stop", tone="calm"),
}
VOICES = {
    "approve": State(word="Agreed", icon="check", tone="good"),
    "refuse": State(word="Refused", icon="cross", tone="bad"),
    "propose": State(word="Proposed it", icon="person", tone="calm"),
}
FREEZE_STATES = {
    "frozen": State(word="Frozen", icon="lock", tone="bad"),
    "thawed": State(word="Thawed", icon="check", tone="good"),
}
GLASS_STATES = {
    "waiting": State(word="Waits for a second person", icon="hand", tone="wait"),
    "verifying": State(word="Waits for the gatekeeper", icon="clock", tone="wait"),
    "refused": State(word="Not broken", icon="cross", tone="calm"),
    "open": State(word="Open", icon="alert", tone="bad"),
    "unreviewed": State(word="To be reviewed", icon="clock", tone="wait"),
    "overdue": State(word="Review overdue", icon="alert", tone="bad"),
    "reviewed": State(word="Reviewed", icon="check", tone="good"),
    "lapsed": State(word="Never confirmed", icon="stop", tone="calm"),
}
DELEGATION_STATES = {
    "coming": State(word="To come", icon="clock", tone="wait"),
    "active": State(word="In force", icon="check", tone="good"),
    "over": State(word="Over", icon="stop", tone="calm"),
    "revoked": State(word="Revoked", icon="cross", tone="calm"),
}
NOTICE_STATES = {
    "opened": State(word="Please decide", icon="hand", tone="wait"),
    "reminder": State(word="Still open", icon="clock", tone="wait"),
    "escalated": State(word="Escalated", icon="alert", tone="wait"),
    "decided": State(word="Decided", icon="check", tone="calm"),
    "expired": State(word="Expired", icon="clock", tone="calm"),
    "executed": State(word="Done", icon="check", tone="good"),
    "failed": State(word="Failed", icon="cross", tone="bad"),
    "in_doubt": State(word="In doubt", icon="question", tone="bad"),
    "commented": State(word="Comment", icon="person", tone="calm"),
    "test": State(word="Test", icon="info", tone="calm"),
}
DELIVERY_STATES = {
    **STEP_STATES,
    "ready": State(word="On its way", icon="turn", tone="live"),
    "running": State(word="On its way", icon="turn", tone="live"),
    "succeeded": State(word="Delivered", icon="check", tone="good"),
    "failed": State(word="Not delivered", icon="cross", tone="bad"),
}
CHANNEL_STATES = {
    "active": State(word="Active", icon="check", tone="good"),
    "paused": State(word="Paused", icon="pause", tone="wait"),
}
REPLAYED = {
    "newly allowed": State(word="Newly allowed", icon="alert", tone="bad"),
    "newly blocked": State(word="Newly blocked", icon="stop", tone="wait"),
    "newly asked": State(word="Newly asked", icon="hand", tone="live"),
    "asked otherwise": State(word="Asked otherwise", icon="turn", tone="live"),
    "same": State(word="The same", icon="dots", tone="calm"),
}
OUTCOMES_OF_RULES = {
    "consent": State(word="Asks", icon="hand", tone="wait"),
    "allow": State(word="Allows", icon="check", tone="good"),
    "block": State(word="Blocks", icon="stop", tone="bad"),
}
POLICY_STATES = {
    "in_force": State(word="In force", icon="check", tone="good"),
    "retired": State(word="Retired", icon="stop", tone="calm"),
}
LOOK_STATES = {
    "sampled": State(word="Sampled", icon="search", tone="wait"),
    "fast": State(word="Approved fast", icon="clock", tone="wait"),
    "canary": State(word="Canary", icon="info", tone="wait"),
    "right": State(word="Right", icon="check", tone="good"),
    "wrong": State(word="Wrong", icon="cross", tone="bad"),
}
STATES = {
    "policy": POLICY_STATES,
    "rule": OUTCOMES_OF_RULES,
    "replayed": REPLAYED,
    "look": LOOK_STATES,
    "notice": NOTICE_STATES,
    "delivery": DELIVERY_STATES,
    "channel": CHANNEL_STATES,
    "run": RUN_STATES,
    "change": CHANGE_STATES,
    "voice": VOICES,
    "freeze": FREEZE_STATES,
    "glass": GLASS_STATES,
    "delegation": DELEGATION_STATES,
    "step": STEP_STATES,
    "gate": GATE_STATES,
    "payment": PAYMENT_STATES,
    "decision": VERDICTS,
    "settlement": ANSWERS,
    "tick": OUTCOMES,
    "schedule": SCHEDULE_STATES,
    "key": KEY_STATES,
}

EVENTS = {
    "run.started": "Run started",
    "run.waiting": "Run waits",
    "run.progress": "Progress",
    "run.cancel_requested": "Cancellation asked for",
    "run.cancelling": "Cancellation begun",
    "run.succeeded": "Run succeeded",
    "run.failed": "Run failed",
    "run.cancelled": "Run cancelled",
    "run.quarantined": "Run quarantined",
    "step.held": "Step held",
    "step.cleared": "Step cleared",
    "step.denied": "Step denied",
    "step.ready": "Step queued",
    "step.waiting": "Step waits",
    "step.started": "Attempt started",
    "step.succeeded": "Step succeeded",
    "step.attempt_failed": "Attempt failed",
    "step.put_off": "Attempt put off",
    "step.taken_over": "Taken over from a lost process",
    "step.failed": "Step failed",
    "step.cancelled": "Step cancelled",
    "step.in_doubt": "Outcome in doubt",
    "step.settled": "Step settled",
    "run.continued": "Continued in a new run",
    "run.deadline_passed": "Deadline passed",
    "run.forked": "Forked",
    "run.pause_requested": "Pause asked for",
    "run.paused": "Run paused",
    "run.resumed": "Run resumed",
    "run.terminate_requested": "Termination asked for",
    "run.undoing": "Undoing begun",
    "step.paused": "Step paused for a person",
    "step.poisoned": "Step quarantined as poison",
    "signal.sent": "Signal sent",
    "signal.taken": "Signal taken",
    "question.answered": "Question answered",
    "completion.made": "Completed from outside",
    "settlement.made": "A person said what became of it",
    "gate.opened": "Gate opened",
    "gate.closed": "Gate closed",
    "decision.made": "Decision made",
    "approval.revoked": "Approval taken back",
    "gate.commented": "Commented",
}
ACTIONS = {
    "signed_in": "Signed in",
    "signed_out": "Signed out",
    "sign_in_failed": "Sign-in failed",
    "run_started": "Started a run",
    "cancel_requested": "Asked to cancel",
    "terminate_requested": "Asked to terminate",
    "run_paused": "Paused a run",
    "run_resumed": "Resumed a run",
    "run_forked": "Forked a run",
    "bulk_steered": "Steered many runs",
    "signal_sent": "Sent a signal",
    "question_answered": "Answered a question",
    "schedule_created": "Made a schedule",
    "schedule_changed": "Changed a schedule",
    "schedule_paused": "Paused a schedule",
    "schedule_resumed": "Resumed a schedule",
    "schedule_deleted": "Deleted a schedule",
    "schedule_triggered": "Started a schedule's run now",
    "schedule_backfilled": "Asked for missed runs",
    "decided": "Decided",
    "batch_confirmed": "Confirmed several at once",
    "approval_revoked": "Took an approval back",
    "commented": "Commented",
    "channel_added": "Added a channel",
    "channel_changed": "Changed a channel",
    "channel_paused": "Paused a channel",
    "channel_resumed": "Resumed a channel",
    "channel_removed": "Removed a channel",
    "channel_tested": "Asked for a test notice",
    "doubt_settled": "Said what became of a step",
    "secret_written": "Wrote a secret",
    "scope_granted": "Granted a scope",
    "scope_revoked": "Revoked a scope",
    "policy_published": "Published a policy",
    "policy_retired": "Retired a policy",
    "person_added": "Added a person",
    "role_set": "Set a role",
    "token_created": "Created a token",
    "token_revoked": "Revoked a token",
    "key_enrolled": "Enrolled a key",
    "key_revoked": "Revoked a key",
    "change_proposed": "Proposed a change",
    "change_decided": "Decided about a change",
    "frozen": "Froze",
    "glass_opened": "Asked to break the glass",
    "glass_confirmed": "Confirmed a broken glass",
    "glass_reviewed": "Reviewed a broken glass",
    "delegated": "Delegated",
    "delegation_revoked": "Revoked a delegation",
    "approvals_looked_over": "Looked over their approvals",
    "second_look_taken": "Took a second look",
}
SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "US$", "JPY": "¥", "INR": "₹", "CAD": "CA$", "AUD": "A$"}


def plainly(name: str) -> str:
    """A name of a kind that has no words of its own yet: `step.foo_bar` -> `Step foo bar`."""
    return name.replace(".", " ").replace("_", " ").capitalize()


def money(amount_minor: int, currency: str, exponent: int | None = None) -> str:
    """An amount in minor units as it is written: `€98.70`, `SEK 1,200.00`."""
    digits = CURRENCIES.get(currency, 2) if exponent is None else exponent
    whole, fraction = divmod(abs(amount_minor), 10**digits)
    figures = f"{whole:,}" + (f".{fraction:0{digits}d}" if digits else "")
    sign = "−" if amount_minor < 0 else ""
    symbol = SYMBOLS.get(currency, f"{currency}\N{NO-BREAK SPACE}")
    return f"{sign}{symbol}{figures}"


def day(moment: datetime) -> str:
    """The day of a moment in UTC: `3 Nov 2026`."""
    utc = moment.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y}"


def span(length: timedelta) -> str:
    """A length of time in at most two units: `240 ms`, `3.2 s`, `5 min`, `2 h 10 min`."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 0.0005:
        return "under 1 ms"
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    noun = "day" if days == 1 else "days"
    return f"{days} {noun} {hours} h" if hours else f"{days} {noun}"


def sentence(said: str) -> str:
    """What a tool or a provider said, as a sentence among others: it begins and ends as one."""
    if not said:
        return ""
    return said[0].upper() + said[1:] + ("" if said[-1] in ".!?" else ".")


def is_hidden(character: str) -> bool:
    """Whether a character shows nothing, or turns the text around it: never shown raw."""
    if character in "\n\t":
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def waits_for(what: str) -> str:
    """What a run waits for as a sentence; it may end with a person's own full stop."""
    return f"It waits for {what.rstrip('.')}."


def people(count: int) -> str:
    numbers = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    word = numbers[count] if count < len(numbers) else str(count)
    return f"{word} {'person' if count == 1 else 'people'}"

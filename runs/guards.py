"""What the database itself refuses, whoever asks: the SQL of migration 0002.

The functions run with the rights of the owner and a pinned search path; each refusal names
itself, so that a test and a person can tell which guard it was.
"""

from __future__ import annotations

import re


def functions(sql: str) -> str:
    """The functions of some SQL, to be put in the place of those that a database has.

    Migrations make functions and triggers once; after each `migrate` the owner replaces the
    bodies, so that a database made by an older release has the guards of this code.
    """
    found = re.findall(r"CREATE FUNCTION .*?\$\$;", sql, flags=re.DOTALL)
    return "\n".join(one.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION") for one in found)


REFUSE_CHANGE = """
CREATE FUNCTION placet_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'append-only: % may not % rows of %', session_user, lower(TG_OP), TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
"""


def append_only(table: str, writer: bool = True) -> str:
    """SQL that makes a table append-only and lets the database name who wrote a row."""
    sql = f"""
    CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION placet_refuse_change();
    """
    if writer:
        sql += f"ALTER TABLE {table} ALTER COLUMN writer SET DEFAULT session_user;"
    return sql


STEP_GUARD = """
CREATE FUNCTION runs_guard_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.tenant, NEW.run_id, NEW.position, NEW.kind, NEW.name, NEW.effect,
        NEW.is_money, NEW.is_remote, NEW.needs_consent, NEW.arguments, NEW.digest, NEW.key,
        NEW.created_at)
        IS DISTINCT FROM
       (OLD.id, OLD.tenant, OLD.run_id, OLD.position, OLD.kind, OLD.name, OLD.effect,
        OLD.is_money, OLD.is_remote, OLD.needs_consent, OLD.arguments, OLD.digest, OLD.key,
        OLD.created_at)
       OR NEW.declaration_id IS DISTINCT FROM OLD.declaration_id THEN
        RAISE EXCEPTION 'step bytes: what a step is cannot be changed after it was declared';
    END IF;
    IF OLD.clearance_id IS NOT NULL AND NEW.clearance_id IS DISTINCT FROM OLD.clearance_id THEN
        RAISE EXCEPTION 'step clearance: a clearance cannot be exchanged';
    END IF;
    IF OLD.status IN ('succeeded', 'failed', 'denied', 'cancelled') THEN
        RAISE EXCEPTION 'step ended: a step that has % stays so', OLD.status;
    END IF;
    IF NEW.attempt < OLD.attempt OR NEW.attempt > OLD.attempt + 1 THEN
        RAISE EXCEPTION 'step attempt: attempts are counted one by one';
    END IF;
    IF OLD.is_remote AND session_user <> 'placet_executor'
        AND ((NEW.attempt, NEW.failures, NEW.not_before, NEW.result, NEW.started_at)
            IS DISTINCT FROM
            (OLD.attempt, OLD.failures, OLD.not_before, OLD.result, OLD.started_at)
          OR (NEW.deaths, NEW.unknowns, NEW.give_up_at)
            IS DISTINCT FROM (OLD.deaths, OLD.unknowns, OLD.give_up_at)
          OR session_user <> 'placet_gatekeeper' AND NEW.error IS DISTINCT FROM OLD.error) THEN
        RAISE EXCEPTION 'step role: only the executor tells of attempts, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    IF NOT OLD.is_remote THEN
        IF OLD.status = 'paused' AND NEW.status <> 'cancelled' THEN
            PERFORM runs_check_settled(OLD, NEW.status);
        END IF;
        RETURN NEW;
    END IF;
    IF NOT (
        (OLD.status = 'held' AND NEW.status IN ('ready', 'denied', 'cancelled'))
        OR (OLD.status = 'ready' AND NEW.status = 'running')
        OR (OLD.status = 'ready' AND NEW.status IN ('denied', 'cancelled') AND OLD.attempt = 0)
        OR (OLD.status IN ('running', 'waiting')
            AND NEW.status IN ('ready', 'succeeded', 'failed', 'in_doubt', 'paused'))
        OR (OLD.status = 'running' AND NEW.status = 'waiting')
        OR (OLD.status IN ('in_doubt', 'paused')
            AND NEW.status IN ('ready', 'succeeded', 'failed', 'cancelled'))
    ) THEN
        RAISE EXCEPTION 'step arrow: no way leads from % to %', OLD.status, NEW.status;
    END IF;
    IF (OLD.status = 'held' AND NEW.status = 'ready' OR NEW.status = 'denied')
        AND session_user <> 'placet_gatekeeper' THEN
        RAISE EXCEPTION 'step role: only the gatekeeper clears or denies, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.status = 'paused' AND NEW.status = 'cancelled' AND (session_user = 'placet_worker'
        OR EXISTS (SELECT FROM runs_run WHERE id = OLD.run_id AND (ending IS NOT NULL
            OR cancel_requested_at IS NOT NULL OR terminate_requested_at IS NOT NULL))) THEN
        -- Nothing of it happened, and its run ends: nobody has to say anything about it.
        RETURN NEW;
    END IF;
    IF (NEW.status = 'running' OR OLD.status IN ('running', 'waiting', 'in_doubt', 'paused'))
        AND session_user <> 'placet_executor' THEN
        RAISE EXCEPTION 'step role: only the executor claims and settles, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.status IN ('in_doubt', 'paused') THEN
        PERFORM runs_check_settled(OLD, NEW.status);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_step_guard BEFORE UPDATE ON runs_step
    FOR EACH ROW EXECUTE FUNCTION runs_guard_step();

CREATE FUNCTION runs_guard_new_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    declared runs_declaration;
    before runs_step;
BEGIN
    SELECT * INTO declared FROM runs_declaration WHERE digest = NEW.declaration_id;
    IF NOT FOUND OR NOT NEW.is_remote OR (NEW.name, NEW.effect, NEW.is_money)
        IS DISTINCT FROM (declared.tool, declared.body->>'effect', declared.is_money) THEN
        RAISE EXCEPTION 'step declaration: the step is not what its tool was declared to be';
    END IF;
    -- Money always waits for people; that others do, another room may have said before this.
    NEW.needs_consent := NEW.needs_consent OR NEW.is_money;
    IF NEW.attempt <> 0 OR NEW.failures <> 0 OR NEW.result IS NOT NULL THEN
        RAISE EXCEPTION 'step birth: a step begins with nothing done';
    END IF;
    IF NEW.name LIKE 'placet.%' AND NOT EXISTS (
        SELECT FROM runs_run WHERE id = NEW.run_id AND workflow LIKE 'placet.%') THEN
        RAISE EXCEPTION 'step birth: % is a step of Placet itself', NEW.name
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (SELECT FROM runs_run WHERE id = NEW.run_id AND finished_at IS NOT NULL) THEN
        RAISE EXCEPTION 'step birth: the run has ended';
    END IF;
    IF session_user NOT IN ('placet_gatekeeper', 'placet_owner')
        AND EXISTS (SELECT FROM runs_run WHERE id = NEW.run_id AND is_inert) THEN
        RAISE EXCEPTION 'step birth: nothing is asked for in an inert run by others'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.position % 1000000 >= 10000 THEN
        SELECT * INTO before FROM runs_step WHERE tenant = NEW.tenant AND run_id = NEW.run_id
            AND position = NEW.position - 10000;
        -- The undo of a step that stands in another's place has nothing at that position. One
        -- that nobody decided on in time is asked for again when a person has resumed the run.
        IF (FOUND OR NEW.position < 1000000) AND NOT (
            NEW.position >= 1000000 AND before.status = 'denied'
            AND before.error->>'kind' NOT IN ('Denied', 'ChangesRequested', 'Blocked')
            AND before.name = NEW.name
            AND before.arguments = NEW.arguments AND EXISTS (
                SELECT FROM runs_event WHERE run_id = NEW.run_id AND kind = 'run.resumed'
                    AND at > before.finished_at)) AND (
            before.status IS DISTINCT FROM 'cancelled'
            OR before.error->>'kind' IS DISTINCT FROM 'Replaced' OR before.name <> NEW.name
            OR NOT EXISTS (SELECT FROM runs_settlement WHERE step_id = before.id
                AND attempt = before.attempt AND answer = 'retry_with'
                AND result = NEW.arguments)) THEN
            RAISE EXCEPTION 'step replacement: nobody has asked for these arguments';
        END IF;
    END IF;
    IF NEW.is_remote AND NEW.status NOT IN ('held', 'ready')
        OR NEW.needs_consent AND NEW.status <> 'held' THEN
        RAISE EXCEPTION 'step birth: a step of the executor cannot begin as %', NEW.status;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_step_birth BEFORE INSERT ON runs_step
    FOR EACH ROW WHEN (NEW.is_remote OR NEW.is_money) EXECUTE FUNCTION runs_guard_new_step();
"""

RUN_GUARD = """
CREATE FUNCTION runs_guard_run() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.tenant, NEW.workflow, NEW.version, NEW.agent, NEW.input, NEW.requested_by_id,
        NEW.seed, NEW.is_inert)
        IS DISTINCT FROM
       (OLD.id, OLD.tenant, OLD.workflow, OLD.version, OLD.agent, OLD.input, OLD.requested_by_id,
        OLD.seed, OLD.is_inert)
       OR (NEW.idempotency_key, NEW.parent_id, NEW.parent_position, NEW.continued_from_id,
           NEW.forked_from_id, NEW.forked_at, NEW.schedule_id, NEW.scheduled_for)
        IS DISTINCT FROM
          (OLD.idempotency_key, OLD.parent_id, OLD.parent_position, OLD.continued_from_id,
           OLD.forked_from_id, OLD.forked_at, OLD.schedule_id, OLD.scheduled_for) THEN
        RAISE EXCEPTION 'run identity: what was asked for cannot be changed after the start';
    END IF;
    IF OLD.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'run ended: a run that has % stays so', OLD.status;
    END IF;
    IF OLD.ending IS NOT NULL AND NEW.ending IS DISTINCT FROM OLD.ending THEN
        RAISE EXCEPTION 'run ending: how a run ends is decided once';
    END IF;
    IF OLD.cancel_requested_at IS NOT NULL AND (NEW.cancel_requested_at, NEW.cancel_requested_by)
            IS DISTINCT FROM (OLD.cancel_requested_at, OLD.cancel_requested_by)
        OR OLD.terminate_requested_at IS NOT NULL
            AND NEW.terminate_requested_at IS DISTINCT FROM OLD.terminate_requested_at THEN
        RAISE EXCEPTION 'run end: that its end was asked for is not taken back';
    END IF;
    IF OLD.is_inert THEN
        -- Whatever would wake it leaves it waiting: people may steer it as any other, and only
        -- the gatekeeper ends it. What else there is, the check of the table refuses.
        IF NEW.status = 'ready' THEN
            NEW.status := 'waiting';
            NEW.waiting_for := 'people to decide';
            NEW.waiting_since := clock_timestamp();
        END IF;
        IF (NEW.finished_at IS NOT NULL OR NEW.status = 'cancelled')
            AND session_user NOT IN ('placet_gatekeeper', 'placet_owner') THEN
            RAISE EXCEPTION 'run role: only the gatekeeper ends an inert run, not %',
                replace(session_user, 'placet_', '') USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END IF;
    IF session_user = 'placet_gatekeeper' AND (NEW.error, NEW.finished_at, NEW.waiting_for,
        NEW.waiting_since) IS DISTINCT FROM
        (OLD.error, OLD.finished_at, OLD.waiting_for, OLD.waiting_since) THEN
        RAISE EXCEPTION 'run role: gatekeeper may only wake a run, not end it'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- What a person has stopped, a process may end (a deadline, a parent), but never resume:
    -- only with the very asking for its end, so that what was paused while it ends stays so.
    IF session_user NOT IN ('placet_web', 'placet_owner')
        AND (NEW.cancel_requested_at IS NULL OR OLD.cancel_requested_at IS NOT NULL)
        AND (OLD.status IN ('paused', 'quarantined') AND NEW.status NOT IN ('paused', 'quarantined')
             OR OLD.pause_requested_at IS NOT NULL AND NEW.pause_requested_at IS NULL) THEN
        RAISE EXCEPTION 'run role: only people resume a run, not %',
            replace(session_user, 'placet_', '') USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.status = 'ready' AND OLD.status <> 'ready' THEN
        NEW.ready_at := clock_timestamp();
    END IF;
    IF NEW.status = OLD.status OR NEW.status = 'ready' THEN
        RETURN NEW;
    END IF;
    IF session_user = 'placet_gatekeeper'
        OR session_user = 'placet_executor' AND NEW.status <> 'quarantined'
        OR session_user = 'placet_web'
            AND NOT (NEW.status = 'paused' AND OLD.status IN ('ready', 'waiting')) THEN
        RAISE EXCEPTION 'run role: % may only wake a run, not make it %',
            replace(session_user, 'placet_', ''), NEW.status
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_run_guard BEFORE UPDATE ON runs_run
    FOR EACH ROW EXECUTE FUNCTION runs_guard_run();

CREATE FUNCTION runs_guard_new_run() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    -- Whose agent it is, the owner has registered; who starts a run does not say. What goes on
    -- with the same version is of the same agent; a version that nobody declared is of none.
    NEW.agent := coalesce(
        (SELECT agent FROM runs_run WHERE id = coalesce(NEW.forked_from_id, NEW.continued_from_id)
            AND workflow = NEW.workflow AND version = NEW.version),
        (SELECT agent FROM runs_workflowdeclaration
            WHERE name = NEW.workflow AND version = NEW.version), '');
    IF NEW.is_inert THEN
        -- There to be looked at: it waits from its birth on, and no worker ever takes it.
        IF session_user NOT IN ('placet_gatekeeper', 'placet_owner') THEN
            RAISE EXCEPTION 'run birth: % does not start inert runs',
                replace(session_user, 'placet_', '') USING ERRCODE = 'insufficient_privilege';
        END IF;
        IF NEW.status <> 'waiting' OR NEW.result IS NOT NULL OR NEW.finished_at IS NOT NULL
            OR NEW.workflow LIKE 'placet.%' OR num_nonnulls(NEW.parent_id,
                NEW.continued_from_id, NEW.forked_from_id, NEW.schedule_id) <> 0 THEN
            RAISE EXCEPTION 'run birth: an inert run begins waiting, and comes from nothing';
        END IF;
        -- Whoever starts a run under a key of their own must not be given one that never runs.
        IF NEW.idempotency_key NOT LIKE 'page-%' THEN
            RAISE EXCEPTION 'run birth: an inert run takes no key that somebody could ask with';
        END IF;
        RETURN NEW;
    END IF;
    IF num_nonnulls(NEW.parent_id, NEW.continued_from_id, NEW.forked_from_id) <> 0
        AND EXISTS (SELECT FROM runs_run WHERE is_inert
            AND id IN (NEW.parent_id, NEW.continued_from_id, NEW.forked_from_id)) THEN
        RAISE EXCEPTION 'run birth: nothing comes from an inert run';
    END IF;
    IF NEW.status <> 'ready' OR NEW.result IS NOT NULL OR NEW.finished_at IS NOT NULL
        OR NEW.started_at IS NOT NULL THEN
        RAISE EXCEPTION 'run birth: a run begins ready, and with nothing done';
    END IF;
    -- Whoever starts it, and however: it takes its place in line, and has the time it was given.
    NEW.ready_at := clock_timestamp();
    NEW.deadline_at := coalesce(NEW.deadline_at, clock_timestamp() + interval '1 second' * (
        SELECT deadline_seconds FROM runs_workflowdeclaration WHERE name = NEW.workflow));
    -- Notices are started by the gatekeeper alone, and it starts nothing else.
    IF session_user = 'placet_gatekeeper' AND NEW.workflow <> 'placet.notify'
        OR session_user IN ('placet_web', 'placet_worker') AND NEW.workflow LIKE 'placet.%' THEN
        RAISE EXCEPTION 'run birth: % does not start runs of %',
            replace(session_user, 'placet_', ''), NEW.workflow
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Whoever runs the code of agents starts runs for the person only who asked for them.
    IF session_user = 'placet_worker' THEN
        IF num_nonnulls(NEW.parent_id, NEW.continued_from_id, NEW.schedule_id) <> 1
            OR NEW.forked_from_id IS NOT NULL THEN
            RAISE EXCEPTION 'run birth: a worker starts children, successors and ticks alone'
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        IF NOT EXISTS (
            SELECT FROM runs_run WHERE id = coalesce(NEW.parent_id, NEW.continued_from_id)
                AND tenant = NEW.tenant AND requested_by_id = NEW.requested_by_id
                AND status = 'running'
            UNION ALL
            SELECT FROM runs_schedule WHERE id = NEW.schedule_id AND tenant = NEW.tenant
                AND paused_at IS NULL AND ended_at IS NULL AND input = NEW.input
                AND owner_id = NEW.requested_by_id AND workflow = NEW.workflow) THEN
            RAISE EXCEPTION 'run birth: nobody asked for this run'
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    ELSIF num_nonnulls(NEW.parent_id, NEW.continued_from_id) <> 0 THEN
        RAISE EXCEPTION 'run birth: only a worker starts children and successors'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF num_nonnulls(NEW.forked_from_id, NEW.forked_at) <> 0 AND NOT EXISTS (
        SELECT FROM runs_run WHERE id = NEW.forked_from_id AND NEW.forked_at IS NOT NULL
            AND tenant = NEW.tenant AND workflow = NEW.workflow AND seed = NEW.seed) THEN
        RAISE EXCEPTION 'run birth: a fork is one of a run of the same tenant and workflow';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_run_birth BEFORE INSERT ON runs_run
    FOR EACH ROW EXECUTE FUNCTION runs_guard_new_run();
"""

# Nothing of an inert run is ever started, whoever clears it: what is held there ends there.
INERT = """
CREATE FUNCTION runs_guard_inert_birth() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM runs_run WHERE id = NEW.run_id AND tenant = NEW.tenant
                   AND is_inert AND finished_at IS NULL)
        OR NEW.is_remote AND NOT (NEW.needs_consent AND NEW.status = 'held') THEN
        RAISE EXCEPTION 'step birth: the gatekeeper declares held steps of inert runs alone'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_step_inert_birth BEFORE INSERT ON runs_step FOR EACH ROW
    WHEN (session_user = 'placet_gatekeeper') EXECUTE FUNCTION runs_guard_inert_birth();

CREATE FUNCTION runs_guard_inert_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM runs_run WHERE id = NEW.run_id AND is_inert) THEN
        RAISE EXCEPTION 'inert step: nothing of an inert run is cleared or started';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_step_inert BEFORE UPDATE ON runs_step FOR EACH ROW
    WHEN (NEW.needs_consent AND (OLD.clearance_id IS DISTINCT FROM NEW.clearance_id
          OR OLD.status IN ('held', 'ready') AND NEW.status IN ('ready', 'running')))
    EXECUTE FUNCTION runs_guard_inert_step();
"""
INERT_UNDO = """
DROP TRIGGER runs_step_inert ON runs_step;
DROP TRIGGER runs_step_inert_birth ON runs_step;
DROP FUNCTION runs_guard_inert_step, runs_guard_inert_birth;
"""

MONEY_FLAG = """
ALTER TABLE runs_step ADD CONSTRAINT runs_step_money_is_declared
    FOREIGN KEY (declaration_id, is_money) REFERENCES runs_declaration (digest, is_money);
ALTER TABLE runs_claim SET (fillfactor = 70);
ALTER TABLE runs_stepclaim SET (fillfactor = 70);
"""

# In doubt -> anything: only what enough people, other than the requester, have said.
SETTLEMENT = """
CREATE FUNCTION runs_guard_settlement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    step runs_step;
BEGIN
    NEW.at := clock_timestamp();
    NEW.writer := session_user;
    SELECT * INTO step FROM runs_step
        WHERE id = NEW.step_id AND tenant = NEW.tenant FOR NO KEY UPDATE;
    IF NOT FOUND OR step.status NOT IN ('in_doubt', 'paused') OR step.attempt <> NEW.attempt THEN
        RAISE EXCEPTION 'settlement step: this attempt is not in doubt';
    END IF;
    IF NOT NEW.answer = ANY(CASE step.status
        WHEN 'in_doubt' THEN ARRAY['happened', 'did_not_happen', 'undo', 'give_up']
        ELSE ARRAY['retry', 'retry_with', 'skip', 'undo', 'give_up'] END) THEN
        RAISE EXCEPTION 'settlement answer: % says nothing of a step that is %',
            NEW.answer, step.status;
    END IF;
    IF NEW.person_id = (SELECT requested_by_id FROM runs_run WHERE id = step.run_id) THEN
        RAISE EXCEPTION 'settlement requester: who requested may not settle';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_settlement_guard BEFORE INSERT ON runs_settlement
    FOR EACH ROW EXECUTE FUNCTION runs_guard_settlement();

CREATE FUNCTION runs_check_settled(step runs_step, status text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    wanted text[] := CASE
        WHEN status = 'failed' THEN ARRAY['give_up', 'undo']
        WHEN step.status = 'in_doubt' AND status = 'succeeded' THEN ARRAY['happened']
        WHEN step.status = 'in_doubt' THEN ARRAY['did_not_happen']
        WHEN status = 'succeeded' THEN ARRAY['skip']
        WHEN status = 'cancelled' THEN ARRAY['retry_with']
        ELSE ARRAY['retry'] END;
    needed integer := CASE WHEN step.is_money THEN 2 ELSE 1 END;
    voices integer;
BEGIN
    -- The same: who names another result, or another answer, is no second voice.
    SELECT coalesce(max(alike), 0) INTO voices FROM (
        SELECT count(DISTINCT person_id) AS alike FROM runs_settlement
        WHERE step_id = step.id AND attempt = step.attempt AND answer = ANY(wanted)
        GROUP BY answer, result) AS counted;
    IF voices < needed THEN
        RAISE EXCEPTION 'settlement voices: % have said that step % is settled so', voices, step.id;
    END IF;
END $$;
"""
# A message waits until its run takes it; a completion is about an attempt that waits for one.
TALK = """
CREATE FUNCTION runs_guard_signal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.taken_at IS NOT NULL OR NOT EXISTS (
        SELECT FROM runs_run WHERE id = NEW.run_id AND tenant = NEW.tenant
            AND finished_at IS NULL) THEN
        RAISE EXCEPTION 'signal run: a signal is sent to a run that goes on';
    END IF;
    IF session_user = 'placet_worker' AND NEW.name LIKE 'answer:%' THEN
        RAISE EXCEPTION 'signal answer: people answer questions, not a worker'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF session_user = 'placet_worker' AND NEW.sender NOT LIKE 'run %' AND NOT EXISTS (
        SELECT FROM runs_signal s JOIN runs_run r ON r.continued_from_id = s.run_id
        WHERE r.id = NEW.run_id AND (s.name, s.payload, s.sender)
            = (NEW.name, NEW.payload, NEW.sender)) THEN
        RAISE EXCEPTION 'signal sender: a worker sends in the name of a run alone'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    NEW.sent_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER runs_signal_birth BEFORE INSERT ON runs_signal
    FOR EACH ROW EXECUTE FUNCTION runs_guard_signal();

CREATE FUNCTION runs_guard_completion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    NEW.writer := session_user;
    IF NOT EXISTS (SELECT FROM runs_step WHERE id = NEW.step_id AND tenant = NEW.tenant
                   AND status IN ('running', 'waiting') AND is_remote
                   AND attempt = NEW.attempt)
        -- Whoever completes it shows the token; what is kept of it proves nothing.
        OR NOT EXISTS (SELECT FROM runs_stepclaim WHERE step_id = NEW.step_id AND token_hash
            = sha256(convert_to(current_setting('placet.completion', true), 'UTF8'))) THEN
        RAISE EXCEPTION 'completion step: this attempt does not wait to be completed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_completion_birth BEFORE INSERT ON runs_completion
    FOR EACH ROW EXECUTE FUNCTION runs_guard_completion();
"""
TALK_SQL = TALK + append_only("runs_completion", writer=False)
TALK_UNDO = """
DROP TRIGGER runs_completion_append_only ON runs_completion;
DROP TRIGGER runs_completion_birth ON runs_completion;
DROP TRIGGER runs_signal_birth ON runs_signal;
DROP FUNCTION runs_guard_signal, runs_guard_completion;
"""
SETTLEMENT_SQL = SETTLEMENT + append_only("runs_settlement", writer=False)
SETTLEMENT_UNDO = """
DROP TRIGGER runs_settlement_append_only ON runs_settlement;
DROP TRIGGER runs_settlement_guard ON runs_settlement;
DROP FUNCTION runs_check_settled, runs_guard_settlement;
"""

# Who may say what in a journal. What is of nobody else, a worker says.
OF_WEB_AND_WORKER = ("run.started", "run.cancel_requested", "run.paused", "signal.sent")
OF_WEB_ALONE = (
    *("run.pause_requested", "run.resumed", "run.terminate_requested", "question.answered"),
    *("completion.made", "decision.made", "approval.revoked", "settlement.made", "gate.commented"),
)
OF_GATEKEEPER = ("gate.opened", "gate.closed", "step.cleared", "step.denied")
OF_EXECUTOR_ALONE = ("step.started", "step.settled", "step.taken_over")
OF_EXECUTOR = (
    *OF_EXECUTOR_ALONE,
    *("step.put_off", "step.in_doubt", "step.attempt_failed", "step.succeeded", "step.failed"),
    *("step.paused", "step.waiting", "step.poisoned", "run.quarantined"),
)


def _is_of(*kinds: str) -> str:
    """Whether an event is of these kinds: a constant, where PL/pgSQL would put an array together
    for each row of each journal."""
    return f"NEW.kind = ANY ('{{{','.join(kinds)}}}'::text[])"


# The journal: each row takes the next number, and says only what its writer may say.
EVENT_GUARD = f"""
CREATE FUNCTION runs_guard_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
DECLARE
    may boolean;
BEGIN
    may := CASE session_user
        WHEN 'placet_worker' THEN
            NOT {_is_of(*OF_WEB_ALONE, *OF_GATEKEEPER, *OF_EXECUTOR_ALONE)}
        WHEN 'placet_executor' THEN {_is_of(*OF_EXECUTOR)}
        WHEN 'placet_web' THEN {_is_of(*OF_WEB_AND_WORKER, *OF_WEB_ALONE)}
        WHEN 'placet_gatekeeper' THEN {_is_of(*OF_GATEKEEPER)}
            OR NEW.kind = 'run.started' AND NEW.seq = 1
        ELSE session_user = 'placet_owner' END
        AND (session_user IN ('placet_web', 'placet_owner') OR NEW.actor IN
            ('worker', 'engine', 'executor', 'sweep', 'gatekeeper'));
    -- The gatekeeper tells all of a run that is never run, also whose request it is modelled on.
    IF may IS NOT TRUE AND session_user = 'placet_gatekeeper' THEN
        may := EXISTS (SELECT FROM runs_run r WHERE r.id = NEW.run_id AND r.is_inert);
    END IF;
    IF may IS NOT TRUE THEN
        RAISE EXCEPTION 'event writer: % may not say % as %', session_user, NEW.kind, NEW.actor
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.seq IS DISTINCT FROM (SELECT last_seq FROM runs_claim
                                 WHERE run_id = NEW.run_id AND tenant = NEW.tenant) THEN
        RAISE EXCEPTION 'event number: a row of the journal takes the next number of its run';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_event_guard BEFORE INSERT ON runs_event
    FOR EACH ROW EXECUTE FUNCTION runs_guard_event();

CREATE FUNCTION runs_guard_number() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'event number: the rows of a journal are counted one by one';
END $$;
CREATE TRIGGER runs_claim_number BEFORE UPDATE ON runs_claim FOR EACH ROW
    WHEN (NEW.last_seq <> OLD.last_seq AND NEW.last_seq <> OLD.last_seq + 1)
    EXECUTE FUNCTION runs_guard_number();
"""

SQL = REFUSE_CHANGE + append_only("runs_event") + EVENT_GUARD + STEP_GUARD + RUN_GUARD + MONEY_FLAG
UNDO = """
ALTER TABLE runs_step DROP CONSTRAINT runs_step_money_is_declared;
DROP TRIGGER runs_event_append_only ON runs_event;
DROP TRIGGER runs_event_guard ON runs_event;
DROP TRIGGER runs_claim_number ON runs_claim;
DROP TRIGGER runs_step_guard ON runs_step;
DROP TRIGGER runs_step_birth ON runs_step;
DROP TRIGGER runs_run_guard ON runs_run;
DROP TRIGGER runs_run_birth ON runs_run;
DROP FUNCTION runs_guard_step, runs_guard_new_step, runs_guard_run, runs_guard_new_run,
    runs_guard_event, runs_guard_number, placet_refuse_change;
"""

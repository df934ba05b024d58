"""What the database itself refuses, whoever asks: the SQL of migration 0002.

The functions run with the rights of the owner and a pinned search path; each refusal names
itself, so that a test and a person can tell which guard it was.
"""

from __future__ import annotations

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
        NEW.is_money, NEW.is_remote, NEW.arguments, NEW.digest, NEW.key, NEW.created_at)
        IS DISTINCT FROM
       (OLD.id, OLD.tenant, OLD.run_id, OLD.position, OLD.kind, OLD.name, OLD.effect,
        OLD.is_money, OLD.is_remote, OLD.arguments, OLD.digest, OLD.key, OLD.created_at)
       OR NEW.declaration_id IS DISTINCT FROM OLD.declaration_id THEN
        RAISE EXCEPTION 'step bytes: what a step is cannot be changed after it was declared';
    END IF;
    IF OLD.clearance_id IS NOT NULL AND NEW.clearance_id IS DISTINCT FROM OLD.clearance_id THEN
        RAISE EXCEPTION 'step clearance: a clearance cannot be exchanged';
    END IF;
    IF OLD.status IN ('succeeded', 'failed', 'denied', 'cancelled') THEN
        RAISE EXCEPTION 'step ended: a step that has % stays so', OLD.status;
    END IF;
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    IF NOT OLD.is_remote THEN
        RETURN NEW;
    END IF;
    IF NOT (
        (OLD.status = 'held' AND NEW.status IN ('ready', 'denied', 'cancelled'))
        OR (OLD.status = 'ready' AND NEW.status IN ('running', 'denied', 'cancelled'))
        OR (OLD.status = 'running' AND NEW.status IN ('ready', 'succeeded', 'failed', 'in_doubt'))
        OR (OLD.status = 'in_doubt' AND NEW.status IN ('ready', 'succeeded', 'failed'))
    ) THEN
        RAISE EXCEPTION 'step arrow: no way leads from % to %', OLD.status, NEW.status;
    END IF;
    IF (OLD.status = 'held' AND NEW.status = 'ready' OR NEW.status = 'denied')
        AND session_user <> 'placet_gatekeeper' THEN
        RAISE EXCEPTION 'step role: only the gatekeeper clears or denies, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF (NEW.status = 'running' OR OLD.status IN ('running', 'in_doubt'))
        AND session_user <> 'placet_executor' THEN
        RAISE EXCEPTION 'step role: only the executor claims and settles, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.status = 'in_doubt' THEN
        PERFORM runs_check_settled(OLD, NEW.status);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_step_guard BEFORE UPDATE ON runs_step
    FOR EACH ROW EXECUTE FUNCTION runs_guard_step();

CREATE FUNCTION runs_guard_new_step() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.is_remote AND NEW.status NOT IN ('held', 'ready')
        OR NEW.is_money AND NEW.status <> 'held' THEN
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
    IF (NEW.id, NEW.tenant, NEW.workflow, NEW.version, NEW.input, NEW.requested_by_id, NEW.seed)
        IS DISTINCT FROM
       (OLD.id, OLD.tenant, OLD.workflow, OLD.version, OLD.input, OLD.requested_by_id, OLD.seed)
       OR NEW.idempotency_key IS DISTINCT FROM OLD.idempotency_key THEN
        RAISE EXCEPTION 'run identity: what was asked for cannot be changed after the start';
    END IF;
    IF OLD.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'run ended: a run that has % stays so', OLD.status;
    END IF;
    IF NEW.status <> OLD.status AND NEW.status <> 'ready' AND session_user = 'placet_web' THEN
        RAISE EXCEPTION 'run role: web may only wake a run, not make it %', NEW.status
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_run_guard BEFORE UPDATE ON runs_run
    FOR EACH ROW EXECUTE FUNCTION runs_guard_run();

CREATE FUNCTION runs_guard_new_run() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.status <> 'ready' OR NEW.result IS NOT NULL OR NEW.finished_at IS NOT NULL
        OR NEW.started_at IS NOT NULL THEN
        RAISE EXCEPTION 'run birth: a run begins ready, and with nothing done';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runs_run_birth BEFORE INSERT ON runs_run
    FOR EACH ROW EXECUTE FUNCTION runs_guard_new_run();
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
    IF NOT FOUND OR step.status <> 'in_doubt' OR step.attempt <> NEW.attempt THEN
        RAISE EXCEPTION 'settlement step: this attempt is not in doubt';
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
    wanted text := CASE status WHEN 'succeeded' THEN 'happened' WHEN 'ready' THEN 'did_not_happen'
                               ELSE 'give_up' END;
    needed integer := CASE WHEN step.is_money THEN 2 ELSE 1 END;
    voices integer;
BEGIN
    SELECT count(DISTINCT person_id) INTO voices FROM runs_settlement
        WHERE step_id = step.id AND attempt = step.attempt AND answer = wanted;
    IF voices < needed THEN
        RAISE EXCEPTION 'settlement voices: % have said that step % is settled so', voices, step.id;
    END IF;
END $$;
"""
SETTLEMENT_SQL = SETTLEMENT + append_only("runs_settlement", writer=False)
SETTLEMENT_UNDO = """
DROP TRIGGER runs_settlement_append_only ON runs_settlement;
DROP TRIGGER runs_settlement_guard ON runs_settlement;
DROP FUNCTION runs_check_settled, runs_guard_settlement;
"""

SQL = REFUSE_CHANGE + append_only("runs_event") + STEP_GUARD + RUN_GUARD + MONEY_FLAG
UNDO = """
ALTER TABLE runs_step DROP CONSTRAINT runs_step_money_is_declared;
DROP TRIGGER runs_event_append_only ON runs_event;
DROP TRIGGER runs_step_guard ON runs_step;
DROP TRIGGER runs_step_birth ON runs_step;
DROP TRIGGER runs_run_guard ON runs_run;
DROP TRIGGER runs_run_birth ON runs_run;
DROP FUNCTION runs_guard_step, runs_guard_new_step, runs_guard_run, runs_guard_new_run,
    placet_refuse_change;
"""

"""Locks 1 and 2, and the spending of a clearance."""

# Lock 2, deferred: the whole transaction is looked at as it would be committed.
CLEARANCE = """
CREATE FUNCTION approvals_guard_clearance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
    version approvals_policy;
    shortage text;
    cooling integer;
BEGIN
    SELECT * INTO gate FROM approvals_gate WHERE id = NEW.gate_id FOR NO KEY UPDATE;
    SELECT * INTO version FROM approvals_policy WHERE id = gate.policy_id;
    IF (gate.tenant, gate.step_id, gate.digest)
        IS DISTINCT FROM (NEW.tenant, NEW.step_id, NEW.digest) THEN
        RAISE EXCEPTION 'lock 2: the clearance is not for the bytes of its gate';
    END IF;
    IF gate.digest <> sha256('placet/approval/v2'::bytea || '\\x00'::bytea || gate.envelope) THEN
        RAISE EXCEPTION 'lock 2: the digest is not that of the envelope';
    END IF;
    IF gate.status <> 'approved' THEN
        RAISE EXCEPTION 'lock 2: the gate is %', gate.status;
    END IF;
    IF gate.expires_at <= NEW.cleared_at THEN
        RAISE EXCEPTION 'lock 2: the time of the gate is over';
    END IF;
    IF EXISTS (SELECT FROM approvals_decision
               WHERE gate_id = gate.id AND verdict <> 'approve') THEN
        RAISE EXCEPTION 'lock 2: a denial stands against it';
    END IF;
    IF gate.needs IS DISTINCT FROM
        convert_from(version.document, 'UTF8')::jsonb->'rules'->gate.rule->'then' THEN
        RAISE EXCEPTION 'lock 2: the gate does not ask for what its policy asks for';
    END IF;
    PERFORM approvals_refuse_frozen(gate, 'lock 2');
    shortage := approvals_shortage(gate);
    IF shortage IS NOT NULL THEN
        RAISE EXCEPTION 'lock 2: %', shortage;
    END IF;
    cooling := (gate.needs->'consent'->>'cooling_off_seconds')::integer;
    IF cooling > 0 AND EXISTS (
        SELECT FROM approvals_decision d WHERE d.gate_id = gate.id AND d.verdict = 'approve'
            AND d.decided_at > NEW.cleared_at - cooling * interval '1 second') THEN
        RAISE EXCEPTION 'lock 2: cooling-off, % seconds from the last approval', cooling;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_clearance_lock AFTER INSERT ON approvals_clearance
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_clearance();

CREATE FUNCTION approvals_date_clearance() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.cleared_at := clock_timestamp();
    NEW.expires_at := least(NEW.expires_at, clock_timestamp() + interval '1 day');
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_clearance_birth BEFORE INSERT ON approvals_clearance
    FOR EACH ROW EXECUTE FUNCTION approvals_date_clearance();

ALTER TABLE runs_step ADD CONSTRAINT runs_step_clearance_is_its_own
    FOREIGN KEY (clearance_id, id) REFERENCES approvals_clearance (id, step_id)
    DEFERRABLE INITIALLY DEFERRED;
"""

# P7: the executor's claim spends the clearance; the primary key lets that happen once.
SPEND = """
CREATE FUNCTION approvals_spend() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    leave approvals_clearance;
    gate approvals_gate;
    shortage text;
BEGIN
    IF session_user <> 'placet_executor' THEN
        RAISE EXCEPTION 'spend role: only the executor spends a clearance, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT * INTO leave FROM approvals_clearance WHERE id = NEW.clearance_id
        AND step_id = NEW.id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'spend clearance: there is none for this step';
    END IF;
    SELECT * INTO gate FROM approvals_gate WHERE id = leave.gate_id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM approvals_decision
               WHERE gate_id = leave.gate_id AND verdict <> 'approve') THEN
        RAISE EXCEPTION 'spend denied: a denial stands against it';
    END IF;
    PERFORM approvals_refuse_frozen(gate, 'spend');
    IF EXISTS (SELECT FROM approvals_clearanceuse WHERE clearance_id = leave.id) THEN
        -- A later attempt of the same step, under the same key: the same one effect.
        IF OLD.attempt = 0 THEN
            RAISE EXCEPTION 'spend twice: the clearance has been spent';
        END IF;
        RETURN NEW;
    END IF;
    IF leave.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'spend late: the clearance has ended';
    END IF;
    -- Who approved must still be one who may: nobody who has left since moves money.
    shortage := approvals_shortage(gate);
    IF shortage IS NOT NULL THEN
        RAISE EXCEPTION 'spend voices: not enough approvals still stand, %', shortage;
    END IF;
    INSERT INTO approvals_clearanceuse (clearance_id, tenant, step_id, used_at, writer)
        VALUES (leave.id, leave.tenant, NEW.id, clock_timestamp(), session_user);
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_spend BEFORE UPDATE ON runs_step
    FOR EACH ROW WHEN (NEW.needs_consent AND NEW.status = 'running' AND OLD.status <> 'running')
    EXECUTE FUNCTION approvals_spend();
"""

"""A decision is about the digest of an open gate, by somebody who may decide there."""

DECISION = """
CREATE FUNCTION approvals_guard_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
    principal bigint := coalesce(NEW.on_behalf_of_id, NEW.person_id);
    dwell integer;
BEGIN
    NEW.decided_at := clock_timestamp();
    NEW.writer := session_user;
    SELECT * INTO gate FROM approvals_gate
        WHERE id = NEW.gate_id AND tenant = NEW.tenant FOR NO KEY UPDATE;
    IF NOT FOUND OR gate.status <> 'open' OR gate.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'decision gate: the gate is not open';
    END IF;
    IF NEW.digest <> gate.digest THEN
        RAISE EXCEPTION 'decision digest: this is not what the gate asks about';
    END IF;
    IF approvals_requested_before(gate.run_id, NEW.person_id)
        OR approvals_requested_before(gate.run_id, principal) THEN
        RAISE EXCEPTION 'decision requester: who requested may not decide';
    END IF;
    IF NOT approvals_may_voice(gate, NEW) THEN
        IF NEW.on_behalf_of_id IS NOT NULL THEN
            RAISE EXCEPTION 'decision delegation: nobody has delegated this to the person';
        END IF;
        RAISE EXCEPTION 'decision eligibility: the gate does not ask this person';
    END IF;
    IF approvals_is_sealed(NEW) IS NOT TRUE THEN
        RAISE EXCEPTION 'decision seal: nobody who was signed in confirmed this decision';
    END IF;
    IF NEW.verdict <> 'approve' AND NEW.reason = '' THEN
        RAISE EXCEPTION 'decision reason: a denial needs a reason';
    END IF;
    IF EXISTS (
        SELECT FROM approvals_decision d WHERE d.gate_id = gate.id
            AND ARRAY[approvals_human(d.person_id), approvals_human(d.on_behalf_of_id)]
                && ARRAY[approvals_human(NEW.person_id), approvals_human(principal)]) THEN
        RAISE EXCEPTION 'decision voice: this human being has decided here already'
            USING ERRCODE = 'unique_violation';
    END IF;
    IF NEW.verdict = 'approve' THEN
        PERFORM approvals_keep_pace(NEW);
        dwell := (gate.needs->'consent'->>'dwell_seconds')::integer;
        IF dwell > 0 AND NOT EXISTS (
            SELECT FROM approvals_viewing v WHERE v.gate_id = gate.id
                AND v.person_id = NEW.person_id
                AND v.since <= clock_timestamp() - dwell * interval '1 second') THEN
            RAISE EXCEPTION 'decision dwell: the request was not looked at for % seconds', dwell;
        END IF;
        IF gate.tier <> 'confirm' AND NOT approvals_is_signed(NEW, gate.tier) THEN
            RAISE EXCEPTION 'decision signature: no key of this person signed for this tier';
        END IF;
        IF gate.tier IN ('typed', 'critical') AND NEW.typed = '' THEN
            RAISE EXCEPTION 'decision typed: this tier asks for a typed fact';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_decision_guard BEFORE INSERT ON approvals_decision
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_decision();
"""

REVOCATION = """
CREATE FUNCTION approvals_guard_revocation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
    taken approvals_decision;
BEGIN
    NEW.revoked_at := clock_timestamp();
    NEW.writer := session_user;
    SELECT * INTO taken FROM approvals_decision
        WHERE id = NEW.decision_id AND tenant = NEW.tenant;
    IF NOT FOUND OR taken.verdict <> 'approve' THEN
        RAISE EXCEPTION 'revocation decision: only an approval is taken back';
    END IF;
    IF NEW.reason = '' THEN
        RAISE EXCEPTION 'revocation reason: taking an approval back needs a reason';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/revocation/v1',
        taken.id || '|' || taken.person_id || '|' || approvals_words(NEW.reason), ''::bytea) THEN
        RAISE EXCEPTION 'revocation seal: nobody who was signed in took this approval back';
    END IF;
    -- The lock of the gate, which the executor's claim takes as well: one of the two wins.
    SELECT * INTO gate FROM approvals_gate WHERE id = taken.gate_id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM approvals_clearanceuse u JOIN approvals_clearance c
               ON c.id = u.clearance_id WHERE c.gate_id = gate.id) THEN
        RAISE EXCEPTION 'revocation late: too late, the step has been claimed';
    END IF;
    IF gate.status NOT IN ('open', 'approved') THEN
        RAISE EXCEPTION 'revocation gate: the gate is %', gate.status;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_revocation_guard BEFORE INSERT ON approvals_revocation
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_revocation();

CREATE FUNCTION approvals_guard_viewing() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.since := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_viewing_guard BEFORE INSERT ON approvals_viewing
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_viewing();
"""

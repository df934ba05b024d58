"""A decision is about the digest of an open gate, by somebody who may decide there."""

DECISION = """
CREATE FUNCTION approvals_guard_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
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
    IF NEW.person_id = gate.requester_id THEN
        RAISE EXCEPTION 'decision requester: who requested may not decide';
    END IF;
    IF NOT approvals_is_member(gate, NEW.person_id) THEN
        RAISE EXCEPTION 'decision eligibility: the person is not in the group %', gate.group;
    END IF;
    IF approvals_is_sealed(NEW) IS NOT TRUE THEN
        RAISE EXCEPTION 'decision seal: nobody who was signed in confirmed this decision';
    END IF;
    IF NEW.verdict = 'deny' AND NEW.reason = '' THEN
        RAISE EXCEPTION 'decision reason: a denial needs a reason';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_decision_guard BEFORE INSERT ON approvals_decision
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_decision();
"""

"""Answers about doubts, sealed as decisions are."""

# An answer about a doubt is sealed as a decision is; about money only its reviewers answer.
SETTLEMENT = """
CREATE FUNCTION approvals_guard_settlement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
    told text := NEW.step_id || '|' || NEW.attempt || '|' || NEW.person_id || '|' || NEW.answer
        || '|' || approvals_words(NEW.reason) || '|'
        || encode(sha256(coalesce(NEW.result, ''::bytea)), 'hex');
BEGIN
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/settlement/v1', told, ''::bytea) THEN
        RAISE EXCEPTION 'settlement seal: nobody who was signed in gave this answer';
    END IF;
    IF NOT EXISTS (SELECT FROM console_user
                   WHERE id = NEW.person_id AND is_active AND tenant = NEW.tenant) THEN
        RAISE EXCEPTION 'settlement person: nobody of this tenant gave this answer';
    END IF;
    SELECT * INTO gate FROM approvals_gate WHERE step_id = NEW.step_id;
    IF FOUND AND NOT approvals_is_member(gate, NEW.person_id) THEN
        RAISE EXCEPTION 'settlement eligibility: the gate of this step does not ask the person';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_settlement_guard BEFORE INSERT ON runs_settlement
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_settlement();
"""

SETTLEMENT_UNDO = """
DROP TRIGGER approvals_settlement_guard ON runs_settlement;
DROP FUNCTION approvals_guard_settlement;
"""

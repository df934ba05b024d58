"""A canary is planted as often as the policy says, and nothing is ever cleared on it."""

from runs.guards import append_only

CANARY = """
CREATE FUNCTION approvals_guard_canary() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    per_week integer;
BEGIN
    NEW.planted_at := clock_timestamp();
    NEW.writer := session_user;
    IF NOT EXISTS (SELECT FROM runs_step s JOIN runs_run r ON r.id = s.run_id
                   WHERE s.id = NEW.step_id AND s.tenant = NEW.tenant AND s.status = 'held'
                     AND r.is_inert) THEN
        RAISE EXCEPTION 'canary step: a canary is a held step of a run that is never run';
    END IF;
    SELECT (convert_from(document, 'UTF8')::jsonb->'canaries'->>'per_week')::integer INTO per_week
        FROM approvals_policy WHERE tenant = NEW.tenant AND retired_at IS NULL;
    IF (SELECT count(*) FROM approvals_canary WHERE tenant = NEW.tenant
            AND planted_at > clock_timestamp() - interval '7 days') >= coalesce(per_week, 0) THEN
        RAISE EXCEPTION 'canary policy: the policy wants % canaries in seven days',
            coalesce(per_week, 0);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_canary_birth BEFORE INSERT ON approvals_canary
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_canary();

CREATE FUNCTION approvals_refuse_canary() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Asked of the step and of the gate's own, whichever of the two a forger names.
    IF EXISTS (SELECT FROM approvals_canary WHERE step_id = NEW.step_id OR step_id
               = (SELECT step_id FROM approvals_gate WHERE id = NEW.gate_id)) THEN
        RAISE EXCEPTION 'lock 2 canary: nothing is ever cleared on a canary';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_clearance_canary BEFORE INSERT ON approvals_clearance
    FOR EACH ROW EXECUTE FUNCTION approvals_refuse_canary();
"""
CANARIES = CANARY + append_only("approvals_canary", writer=False)
CANARIES_UNDO = """
DROP TRIGGER approvals_clearance_canary ON approvals_clearance;
DROP TRIGGER approvals_canary_append_only ON approvals_canary;
DROP TRIGGER approvals_canary_birth ON approvals_canary;
DROP FUNCTION approvals_refuse_canary, approvals_guard_canary;
"""

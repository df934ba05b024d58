"""Against consent as a habit: how fast one person approves, and what is looked at once more.

The figures of `approvals.limits` are written into the functions, which are renewed after each
migration, so the two cannot differ for longer than that.
"""

from approvals import limits
from runs.guards import append_only

PACE = f"""
CREATE FUNCTION approvals_paced(of_tenant text, of_person bigint) RETURNS integer
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    since timestamptz := clock_timestamp() - interval '{limits.RATE_SECONDS} seconds';
BEGIN
    -- What this person approved lately, since they last looked over what they approved.
    RETURN (SELECT count(*) FROM approvals_decision d
        WHERE d.tenant = of_tenant AND d.person_id = of_person AND d.verdict = 'approve'
          AND d.decided_at > since
          AND d.decided_at > coalesce((
              SELECT max(shown.decided_at) FROM approvals_recap r
              JOIN approvals_decision shown ON shown.id = r.upto_id
              WHERE r.tenant = of_tenant AND r.person_id = of_person AND r.at > since),
              '-infinity'));
END $$;

CREATE FUNCTION approvals_keep_pace(d approvals_decision) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- One approval of a person after the other: two at once would not see each other.
    PERFORM pg_advisory_xact_lock(hashtext('placet.pace'), hashtext(d.person_id::text));
    IF approvals_paced(d.tenant, d.person_id) >= {limits.RATE_APPROVALS} THEN
        RAISE EXCEPTION 'decision pace: this person has approved {limits.RATE_APPROVALS} requests'
            ' within {limits.RATE_SECONDS} seconds and not looked over them';
    END IF;
END $$;

CREATE FUNCTION approvals_guard_recap() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    NEW.writer := session_user;
    IF NOT EXISTS (SELECT FROM approvals_decision d WHERE d.id = NEW.upto_id
            AND d.tenant = NEW.tenant AND d.person_id = NEW.person_id AND d.verdict = 'approve')
        OR NOT approvals_is_person(NEW.person_id, NEW.tenant) THEN
        RAISE EXCEPTION 'recap decision: a person looks over their own approvals';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/recap/v1',
        NEW.id || '|' || NEW.person_id || '|' || NEW.upto_id, ''::bytea) THEN
        RAISE EXCEPTION 'recap seal: nobody who was signed in confirmed this';
    END IF;
    NEW.approvals := approvals_paced(NEW.tenant, NEW.person_id);
    IF NEW.approvals < {limits.RATE_APPROVALS} THEN
        RAISE EXCEPTION 'recap due: there is nothing to be looked over yet';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_recap_guard BEFORE INSERT ON approvals_recap
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_recap();
"""

LOOK = f"""
CREATE FUNCTION approvals_drawn(gate approvals_gate) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    lots bytea := sha256(convert_to('placet/secondlook/v1', 'UTF8') || gate.digest);
    lot integer := (get_byte(lots, 0) * 65536 + get_byte(lots, 1) * 256 + get_byte(lots, 2)) % 100;
BEGIN
    -- Why somebody is to look at this gate once more; null for most. The lot is its digest's,
    -- so nobody can choose.
    IF gate.status <> 'approved' THEN
        RETURN NULL;
    END IF;
    IF gate.needs ? 'allow' AND NOT gate.needs ? 'consent' THEN
        RETURN CASE WHEN lot < coalesce((gate.needs->'allow'->>'sample_percent')::integer, 0)
            THEN 'sampled' END;
    END IF;
    IF lot < {limits.FAST_PERCENT} AND EXISTS (
        SELECT FROM approvals_decision d WHERE d.gate_id = gate.id AND d.verdict = 'approve'
            AND NOT EXISTS (SELECT FROM approvals_viewing v
                WHERE v.gate_id = gate.id AND v.person_id = d.person_id AND v.since
                    <= d.decided_at - interval '{limits.FAST_SECONDS} seconds')) THEN
        RETURN 'fast';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION approvals_guard_new_secondlook() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
BEGIN
    SELECT * INTO gate FROM approvals_gate WHERE id = NEW.gate_id AND tenant = NEW.tenant;
    NEW.why := approvals_drawn(gate);
    IF NEW.why IS NULL THEN
        RAISE EXCEPTION 'second look draw: the lot of this gate did not fall on it';
    END IF;
    IF NEW.looked_by_id IS NOT NULL OR NEW.verdict <> '' OR NEW.looked_at IS NOT NULL THEN
        RAISE EXCEPTION 'second look birth: nobody has looked yet';
    END IF;
    NEW.drawn_at := clock_timestamp();
    NEW.writer := session_user;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_secondlook_birth BEFORE INSERT ON approvals_secondlook
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_new_secondlook();

CREATE FUNCTION approvals_had_a_part(gate approvals_gate, person bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN approvals_requested_before(gate.run_id, person) OR EXISTS (
        SELECT FROM approvals_decision d WHERE d.gate_id = gate.id
            AND approvals_human(person) IN (
                approvals_human(d.person_id), approvals_human(d.on_behalf_of_id)));
END $$;

CREATE FUNCTION approvals_guard_secondlook() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
BEGIN
    IF OLD.looked_at IS NOT NULL THEN
        RAISE EXCEPTION 'second look once: what was found is not rewritten';
    END IF;
    IF (NEW.id, NEW.tenant, NEW.gate_id, NEW.why, NEW.drawn_at)
        IS DISTINCT FROM (OLD.id, OLD.tenant, OLD.gate_id, OLD.why, OLD.drawn_at) THEN
        RAISE EXCEPTION 'second look draw: what was drawn stays as it was drawn';
    END IF;
    NEW.looked_at := clock_timestamp();
    NEW.writer := session_user;
    IF (NEW.verdict IN ('right', 'wrong')) IS NOT TRUE THEN
        RAISE EXCEPTION 'second look verdict: it was right, or it was wrong';
    END IF;
    IF NEW.verdict = 'wrong' AND NEW.note !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'second look note: say what was wrong';
    END IF;
    IF NOT approvals_has_role(NEW.looked_by_id, NEW.tenant, ARRAY['reviewer', 'auditor']) THEN
        RAISE EXCEPTION 'second look role: a reviewer or an auditor looks';
    END IF;
    SELECT * INTO gate FROM approvals_gate WHERE id = NEW.gate_id;
    IF approvals_had_a_part(gate, NEW.looked_by_id) THEN
        RAISE EXCEPTION 'second look human: somebody looks who neither requested nor decided';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/secondlook/v1',
        NEW.id || '|' || NEW.looked_by_id || '|' || NEW.verdict || '|'
            || approvals_words(NEW.note), gate.digest) THEN
        RAISE EXCEPTION 'second look seal: nobody who was signed in said this';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_secondlook_guard BEFORE UPDATE ON approvals_secondlook
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_secondlook();
CREATE TRIGGER approvals_secondlook_stays BEFORE DELETE OR TRUNCATE ON approvals_secondlook
    FOR EACH STATEMENT EXECUTE FUNCTION placet_refuse_change();
"""

# What the figures ask for: everything that was decided in a tenant since some day.
FIGURES = """
CREATE INDEX approvals_decision_newest ON approvals_decision (tenant, decided_at DESC);
"""
SECONDLOOKS = PACE + LOOK + FIGURES + append_only("approvals_recap", writer=False)
SECONDLOOKS_UNDO = """
DROP INDEX approvals_decision_newest;
DROP FUNCTION approvals_guard_secondlook, approvals_had_a_part, approvals_guard_new_secondlook,
    approvals_drawn, approvals_guard_recap, approvals_keep_pace, approvals_paced CASCADE;
"""

"""Who broke the glass may decide for an hour: never one alone, and never again unreviewed."""

from __future__ import annotations

BREAKGLASS = """
CREATE FUNCTION approvals_guard_breakglass() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Two at once would not see each other, and neither would have to be reviewed first.
    PERFORM pg_advisory_xact_lock(hashtext('placet.breakglass'), hashtext(NEW.tenant));
    NEW.opened_at := clock_timestamp();
    NEW.writer := session_user;
    IF NEW.reason = '' THEN
        RAISE EXCEPTION 'breakglass reason: the glass is broken with a reason';
    END IF;
    IF NOT approvals_has_role(NEW.opened_by_id, NEW.tenant, ARRAY['reviewer', 'admin']) THEN
        RAISE EXCEPTION 'breakglass role: a reviewer or an admin breaks the glass';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/breakglass/v1',
        NEW.id || '|' || NEW.opened_by_id || '|' || NEW.scope || '|' || NEW.minutes || '|'
            || approvals_words(NEW.tenant) || '|' || approvals_words(NEW.subject) || '|'
            || approvals_words(NEW.reason), ''::bytea) THEN
        RAISE EXCEPTION 'breakglass seal: nobody who was signed in broke the glass';
    END IF;
    IF NOT approvals_may_break(NEW.key, NEW.signature, NEW.opened_by_id, NEW.tenant,
        NEW.opened_at) THEN
        RAISE EXCEPTION 'breakglass key: no key of this person that may break it has signed';
    END IF;
    IF approvals_is_unreviewed(NEW.tenant) THEN
        RAISE EXCEPTION 'breakglass review: the last time has not been reviewed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_breakglass_birth BEFORE INSERT ON approvals_breakglass
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_breakglass();

CREATE FUNCTION approvals_guard_breakglassconfirmation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    glass approvals_breakglass;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('placet.breakglass'), hashtext(NEW.tenant));
    SELECT * INTO glass FROM approvals_breakglass
        WHERE id = NEW.breakglass_id AND tenant = NEW.tenant;
    IF NOT FOUND OR glass.opened_at <= clock_timestamp() - interval '15 minutes' THEN
        RAISE EXCEPTION 'breakglass late: nothing waits to be confirmed';
    END IF;
    IF approvals_is_unreviewed(NEW.tenant) THEN
        RAISE EXCEPTION 'breakglass review: the last time has not been reviewed';
    END IF;
    NEW.at := clock_timestamp();
    NEW.until := clock_timestamp() + glass.minutes * interval '1 minute';
    NEW.writer := session_user;
    IF NOT approvals_has_role(NEW.person_id, NEW.tenant, ARRAY['reviewer', 'admin']) THEN
        RAISE EXCEPTION 'breakglass role: a reviewer or an admin breaks the glass';
    END IF;
    IF approvals_human(NEW.person_id) = approvals_human(glass.opened_by_id) THEN
        RAISE EXCEPTION 'breakglass human: a second human confirms it';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/breakglass-confirmation/v1',
        NEW.breakglass_id || '|' || NEW.person_id, glass.seal) THEN
        RAISE EXCEPTION 'breakglass seal: nobody who was signed in confirmed it';
    END IF;
    IF NOT approvals_may_break(NEW.key, NEW.signature, NEW.person_id, NEW.tenant, NEW.at) THEN
        RAISE EXCEPTION 'breakglass key: no key of this person that may break it has signed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_breakglassconfirmation_birth
    BEFORE INSERT ON approvals_breakglassconfirmation
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_breakglassconfirmation();

CREATE FUNCTION approvals_guard_breakglassreview() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    glass approvals_breakglass;
    second approvals_breakglassconfirmation;
    human text := approvals_human(NEW.person_id);
BEGIN
    NEW.at := clock_timestamp();
    NEW.writer := session_user;
    SELECT * INTO glass FROM approvals_breakglass
        WHERE id = NEW.breakglass_id AND tenant = NEW.tenant;
    SELECT * INTO second FROM approvals_breakglassconfirmation
        WHERE breakglass_id = NEW.breakglass_id AND tenant = NEW.tenant;
    IF second.until IS NULL OR second.until > clock_timestamp() THEN
        RAISE EXCEPTION 'review early: it is reviewed when its time is over';
    END IF;
    IF NOT EXISTS (SELECT FROM approvals_breakglassproof
                   WHERE breakglass_id = NEW.breakglass_id AND because = '') THEN
        RAISE EXCEPTION 'review whole: the glass was not broken';
    END IF;
    IF NOT approvals_has_role(
        NEW.person_id, NEW.tenant, ARRAY['reviewer', 'auditor', 'admin']) THEN
        RAISE EXCEPTION 'review role: a reviewer, an auditor or an admin reviews';
    END IF;
    IF human IN (approvals_human(glass.opened_by_id), approvals_human(second.person_id)) THEN
        RAISE EXCEPTION 'review human: somebody else reviews who broke the glass';
    END IF;
    IF NEW.found = '' THEN
        RAISE EXCEPTION 'review words: a review says what was found';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/breakglass-review/v1',
        NEW.breakglass_id || '|' || NEW.person_id || '|' || approvals_words(NEW.found),
        ''::bytea) THEN
        RAISE EXCEPTION 'review seal: nobody who was signed in said this';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_breakglassreview_birth BEFORE INSERT ON approvals_breakglassreview
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_breakglassreview();

CREATE FUNCTION approvals_is_unreviewed(of_tenant text) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- One of which the gatekeeper found that it is not broken has let nobody decide.
    RETURN EXISTS (
        SELECT FROM approvals_breakglassconfirmation c WHERE c.tenant = of_tenant
            AND NOT EXISTS (SELECT FROM approvals_breakglassreview r
                            WHERE r.breakglass_id = c.breakglass_id)
            AND NOT EXISTS (SELECT FROM approvals_breakglassproof p
                            WHERE p.breakglass_id = c.breakglass_id AND p.because <> ''));
END $$;

CREATE FUNCTION approvals_glass_of(
    gate approvals_gate, person bigint, moment timestamptz DEFAULT clock_timestamp()
) RETURNS uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    glass uuid;
BEGIN
    -- The broken glass by which this person counts at the gate: verified by the gatekeeper
    -- before that moment, and no key of the two revoked since.
    SELECT b.id INTO glass FROM approvals_breakglassconfirmation c
        JOIN approvals_breakglass b ON b.id = c.breakglass_id
        JOIN approvals_breakglassproof p ON p.breakglass_id = b.id
        WHERE c.tenant = gate.tenant AND person IN (b.opened_by_id, c.person_id)
          AND p.because = '' AND p.verified_at <= moment AND moment < c.until
          AND NOT EXISTS (SELECT FROM approvals_keyrevocation r WHERE r.key_id IN (b.key, c.key))
          AND (b.scope = 'everything' OR b.scope = 'tool' AND b.subject = gate.tool
               OR b.scope = 'workflow' AND b.subject =
                  (SELECT workflow FROM runs_run WHERE id = gate.run_id))
        ORDER BY c.at DESC LIMIT 1;
    -- Asked last, because seldom anybody has broken one.
    IF glass IS NULL OR NOT approvals_is_person(person, gate.tenant)
        OR approvals_requested_before(gate.run_id, person) THEN
        RETURN NULL;
    END IF;
    RETURN glass;
END $$;

CREATE FUNCTION approvals_broke_glass(
    gate approvals_gate, person bigint, moment timestamptz DEFAULT clock_timestamp()
) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN approvals_glass_of(gate, person, moment) IS NOT NULL;
END $$;
"""

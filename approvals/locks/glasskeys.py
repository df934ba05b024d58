"""Only with two signatures the glass is broken: which keys may, and who says that they did.

Whether a signature is one, no SQL can tell: gatekeeper and executor verify it themselves. The
database sees to it that each row names a key of that person which could sign for the highest
tier, and that nobody but the gatekeeper says that both signatures hold.
"""

from __future__ import annotations

from runs.guards import append_only

PROOF = """
CREATE FUNCTION approvals_may_break(
    of_key uuid, signed bytea, person bigint, of_tenant text, moment timestamptz
) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN length(coalesce(signed, '')) > 0 AND EXISTS (
        SELECT FROM approvals_key k
        WHERE k.id = of_key AND k.tenant = of_tenant AND k.person_id = person
          AND (coalesce(k.vouched_at <= moment, false) OR k.seasoned_at <= moment)
          AND NOT EXISTS (SELECT FROM approvals_keyrevocation r WHERE r.key_id = k.id));
END $$;

CREATE FUNCTION approvals_guard_breakglassproof() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    glass approvals_breakglass;
    second approvals_breakglassconfirmation;
BEGIN
    IF session_user <> 'placet_gatekeeper' THEN
        RAISE EXCEPTION 'breakglass proof role: only the gatekeeper verifies, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    NEW.verified_at := clock_timestamp();
    NEW.writer := session_user;
    SELECT * INTO glass FROM approvals_breakglass
        WHERE id = NEW.breakglass_id AND tenant = NEW.tenant;
    SELECT * INTO second FROM approvals_breakglassconfirmation
        WHERE breakglass_id = NEW.breakglass_id AND tenant = NEW.tenant;
    IF second.until IS NULL THEN
        RAISE EXCEPTION 'breakglass proof: nobody has confirmed this';
    END IF;
    IF NEW.because <> '' THEN
        RETURN NEW;
    END IF;
    IF second.until <= NEW.verified_at THEN
        RAISE EXCEPTION 'breakglass proof: its time is over';
    END IF;
    IF NOT approvals_may_break(glass.key, glass.signature, glass.opened_by_id, glass.tenant,
            glass.opened_at)
        OR NOT approvals_may_break(second.key, second.signature, second.person_id, second.tenant,
            second.at) THEN
        RAISE EXCEPTION 'breakglass proof: a key of the two may not break the glass';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_breakglassproof_birth BEFORE INSERT ON approvals_breakglassproof
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_breakglassproof();
"""

# Asked by gatekeeper and executor, who then verify the signatures of the glass themselves.
RESTING = """
CREATE FUNCTION approvals_resting(asked uuid)
    RETURNS TABLE (decision uuid, glass uuid, thresholds integer[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- The approvals at a gate that rest on a broken glass, and for which of its thresholds.
    RETURN QUERY
        SELECT r.id, r.glass, r.only FROM (
            SELECT d.id, approvals_glass_of(g, p.id, d.decided_at) AS glass, ARRAY(
                SELECT (t.number - 1)::integer
                FROM jsonb_array_elements(g.needs->'consent'->'thresholds')
                    WITH ORDINALITY AS t (threshold, number)
                WHERE NOT approvals_belongs(g, t.threshold, p.id)) AS only
            FROM approvals_gate g JOIN approvals_decision d ON d.gate_id = g.id,
                LATERAL (SELECT coalesce(d.on_behalf_of_id, d.person_id) AS id) AS p
            WHERE g.id = asked AND d.verdict = 'approve') AS r
        WHERE r.glass IS NOT NULL AND r.only <> '{}';
END $$;
"""

GLASSKEYS = PROOF + RESTING + append_only("approvals_breakglassproof", writer=False)
GLASSKEYS_UNDO = """
DROP TRIGGER approvals_breakglassproof_birth ON approvals_breakglassproof;
DROP TRIGGER approvals_breakglassproof_append_only ON approvals_breakglassproof;
DROP FUNCTION approvals_resting, approvals_guard_breakglassproof, approvals_may_break CASCADE;
"""

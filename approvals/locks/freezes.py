"""A freeze and a claim never both win: one takes an advisory lock alone, the other shares it.

Whoever freezes waits for claims under way; whoever claims afterwards sees the freeze. Only a
change that two admins agreed to lifts it.
"""

from __future__ import annotations

FREEZE = """
CREATE FUNCTION approvals_plainly(payee text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT upper(regexp_replace(payee, '\\s', '', 'g'))
$$;

CREATE FUNCTION approvals_frozen(of_tenant text, of_tool text, of_workflow text, of_payee text)
    RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE scope WHEN 'everything' THEN 'Everything'
            ELSE 'The ' || scope || ' ' || subject END || ' is frozen: ' || reason
    FROM approvals_freeze
    WHERE tenant = of_tenant AND lifted_at IS NULL AND (scope = 'everything'
        OR scope = 'tool' AND subject = of_tool
        OR scope = 'workflow' AND subject = of_workflow
        OR scope = 'payee' AND approvals_plainly(subject) = approvals_plainly(of_payee))
    ORDER BY at LIMIT 1
$$;

CREATE FUNCTION approvals_refuse_frozen(gate approvals_gate, lock text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    because text;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('placet.freeze'), hashtext(gate.tenant));
    because := approvals_frozen(gate.tenant, gate.tool,
        (SELECT workflow FROM runs_run WHERE id = gate.run_id), gate.payee);
    IF because IS NOT NULL THEN
        RAISE EXCEPTION '% frozen: %', lock, because;
    END IF;
END $$;

CREATE FUNCTION approvals_guard_new_freeze() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('placet.freeze'), hashtext(NEW.tenant));
    NEW.at := clock_timestamp();
    NEW.writer := session_user;
    IF NEW.lifted_at IS NOT NULL OR NEW.reason = '' THEN
        RAISE EXCEPTION 'freeze birth: a freeze begins in force, and with a reason';
    END IF;
    IF session_user = 'placet_gatekeeper' AND NEW.by_id IS NULL THEN
        RETURN NEW;
    END IF;
    IF NOT coalesce(approvals_has_role(
        NEW.by_id, NEW.tenant, ARRAY['reviewer', 'operator', 'admin']), false) THEN
        RAISE EXCEPTION 'freeze role: a reviewer, an operator or an admin freezes';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/freeze/v1',
        NEW.id || '|' || NEW.by_id || '|' || NEW.scope || '|' || approvals_words(NEW.tenant)
            || '|' || approvals_words(NEW.subject) || '|' || approvals_words(NEW.reason),
        ''::bytea) THEN
        RAISE EXCEPTION 'freeze seal: nobody who was signed in froze this';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_freeze_birth BEFORE INSERT ON approvals_freeze
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_new_freeze();

CREATE FUNCTION approvals_guard_freeze() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    was approvals_freeze := OLD;
BEGIN
    was.lifted_at := NEW.lifted_at;
    was.lifted_by_id := NEW.lifted_by_id;
    IF was IS DISTINCT FROM NEW OR OLD.lifted_at IS NOT NULL THEN
        RAISE EXCEPTION 'freeze bytes: a freeze is lifted, never edited';
    END IF;
    IF NOT approvals_applies('thaw', NEW.tenant, jsonb_build_object('freeze', NEW.id)) THEN
        RAISE EXCEPTION 'freeze thaw: two admins have not agreed to this';
    END IF;
    NEW.lifted_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_freeze_guard BEFORE UPDATE ON approvals_freeze
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_freeze();
CREATE TRIGGER approvals_freeze_kept BEFORE DELETE OR TRUNCATE ON approvals_freeze
    FOR EACH STATEMENT EXECUTE FUNCTION placet_refuse_change();
"""

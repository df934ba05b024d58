"""A delegate decides on behalf of a principal; whoever asked for the run is neither of them."""

from __future__ import annotations

DELEGATION = """
CREATE FUNCTION approvals_guard_new_delegation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.made_at := clock_timestamp();
    NEW.writer := session_user;
    IF NEW.revoked_at IS NOT NULL OR NEW.reason = '' THEN
        RAISE EXCEPTION 'delegation birth: a delegation begins in force, and with a reason';
    END IF;
    IF NEW.until_at > clock_timestamp() + interval '90 days' OR NEW.until_at <= NEW.from_at THEN
        RAISE EXCEPTION 'delegation span: it ends within 90 days, and after it begins';
    END IF;
    IF NOT approvals_has_role(NEW.principal_id, NEW.tenant, ARRAY['reviewer'])
        OR NOT approvals_has_role(NEW.delegate_id, NEW.tenant, ARRAY['reviewer']) THEN
        RAISE EXCEPTION 'delegation role: a reviewer lets a reviewer decide';
    END IF;
    IF approvals_human(NEW.principal_id) = approvals_human(NEW.delegate_id) THEN
        RAISE EXCEPTION 'delegation human: nobody delegates to themself';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/delegation/v1',
        NEW.id || '|' || NEW.principal_id || '|' || NEW.delegate_id || '|'
            || approvals_words(NEW.tenant) || '|' || approvals_words(NEW.group) || '|'
            || extract(epoch FROM NEW.from_at)::bigint || '|'
            || extract(epoch FROM NEW.until_at)::bigint || '|' || approvals_words(NEW.reason),
        ''::bytea) THEN
        RAISE EXCEPTION 'delegation seal: nobody who was signed in delegated this';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_delegation_birth BEFORE INSERT ON approvals_delegation
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_new_delegation();

CREATE FUNCTION approvals_guard_delegation() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    was approvals_delegation := OLD;
BEGIN
    was.revoked_at := NEW.revoked_at;
    IF was IS DISTINCT FROM NEW OR OLD.revoked_at IS NOT NULL OR NEW.revoked_at IS NULL THEN
        RAISE EXCEPTION 'delegation bytes: a delegation is revoked, never edited';
    END IF;
    NEW.revoked_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_delegation_guard BEFORE UPDATE ON approvals_delegation
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_delegation();
CREATE TRIGGER approvals_delegation_kept BEFORE DELETE OR TRUNCATE ON approvals_delegation
    FOR EACH STATEMENT EXECUTE FUNCTION placet_refuse_change();

CREATE FUNCTION approvals_delegates(
    gate approvals_gate, principal bigint, person bigint, of_group text DEFAULT NULL,
    moment timestamptz DEFAULT clock_timestamp()
) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM approvals_delegation d
        WHERE d.tenant = gate.tenant AND d.principal_id = principal AND d.delegate_id = person
          AND (d.group = '' OR d.group = of_group)
          AND d.made_at <= moment AND d.from_at <= moment AND moment < d.until_at
          AND (d.revoked_at IS NULL OR d.revoked_at > moment))
        AND approvals_is_person(principal, gate.tenant)
        AND approvals_is_person(person, gate.tenant)
        AND NOT approvals_requested_before(gate.run_id, principal)
        AND NOT approvals_requested_before(gate.run_id, person)
$$;
"""

"""The registry of keys: what web and gatekeeper may write there, and what a signature needs.

Whether a signature is one, no SQL can tell: gatekeeper and executor verify it themselves. The
database sees to it that a decision names a key of that person that stands.
"""

from __future__ import annotations

from approvals import limits
from runs.guards import append_only

REQUEST = """
CREATE FUNCTION approvals_guard_keyrequest() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    told text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        told := NEW.refused_because;
        NEW.refused_because := OLD.refused_because;
        IF NEW IS DISTINCT FROM OLD OR OLD.refused_because <> ''
            OR session_user <> 'placet_gatekeeper' THEN
            RAISE EXCEPTION 'key request bytes: what a person asked for cannot be changed';
        END IF;
        NEW.refused_because := told;
        RETURN NEW;
    END IF;
    NEW.asked_at := clock_timestamp();
    NEW.writer := session_user;
    NEW.refused_because := '';
    told := NEW.id || '|' || NEW.person_id || '|' || NEW.kind || '|' || approvals_words(NEW.name)
        || '|' || encode(sha256(NEW.challenge), 'hex') || '|'
        || encode(sha256(NEW.client_data), 'hex') || '|'
        || encode(sha256(NEW.attestation), 'hex') || '|'
        || encode(sha256(NEW.public_key), 'hex') || '|' || coalesce(NEW.introduced_by_id::text, '');
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/key-request/v1', told, ''::bytea) THEN
        RAISE EXCEPTION 'key request seal: nobody who was signed in asked for this key';
    END IF;
    IF NOT EXISTS (SELECT FROM console_user
                   WHERE id = NEW.person_id AND is_active AND tenant = NEW.tenant) THEN
        RAISE EXCEPTION 'key request person: nobody of this tenant asked for this key';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_keyrequest_guard BEFORE INSERT OR UPDATE ON approvals_keyrequest
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_keyrequest();
CREATE TRIGGER approvals_keyrequest_kept BEFORE DELETE OR TRUNCATE ON approvals_keyrequest
    FOR EACH STATEMENT EXECUTE FUNCTION placet_refuse_change();
"""

# Whose key it is and what it is must stand in a sealed request; when it counts, the database says.
KEY = """
CREATE FUNCTION approvals_guard_key() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    asked approvals_keyrequest;
    was approvals_key;
BEGIN
    IF session_user <> 'placet_gatekeeper' THEN
        RAISE EXCEPTION 'key role: only the gatekeeper enrols keys, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        was := OLD;
        was.vouched_at := NEW.vouched_at;
        IF was IS DISTINCT FROM NEW OR OLD.vouched_at IS NOT NULL THEN
            RAISE EXCEPTION 'key bytes: what a key is cannot be changed';
        END IF;
        IF NOT approvals_applies(
            'vouch_key', NEW.tenant, jsonb_build_object('key', NEW.id)) THEN
            RAISE EXCEPTION 'key vouch: two admins have not agreed to this';
        END IF;
        IF EXISTS (
            SELECT FROM approvals_change c
            WHERE c.kind = 'vouch_key' AND c.tenant = NEW.tenant AND c.status = 'applied'
              AND c.applied_in = pg_current_xact_id()::text::bigint
              AND convert_from(c.body, 'UTF8')::jsonb->>'key' = NEW.id::text
              AND approvals_human(NEW.person_id) IN (
                  SELECT approvals_human(c.proposed_by_id) UNION ALL
                  SELECT approvals_human(v.person_id) FROM approvals_changevoice v
                  WHERE v.change_id = c.id AND v.verdict = 'approve')) THEN
            RAISE EXCEPTION 'key vouch: whose key it is does not vouch for it';
        END IF;
        NEW.vouched_at := clock_timestamp();
        RETURN NEW;
    END IF;
    SELECT * INTO asked FROM approvals_keyrequest WHERE id = NEW.request_id FOR NO KEY UPDATE;
    IF NOT FOUND OR asked.refused_because <> '' OR (asked.tenant, asked.person_id, asked.kind,
        asked.name) IS DISTINCT FROM (NEW.tenant, NEW.person_id, NEW.kind, NEW.name) THEN
        RAISE EXCEPTION 'key request: nobody asked for this key';
    END IF;
    IF NEW.kind = 'file' AND NEW.public_key <> asked.public_key
        OR NEW.kind = 'passkey' AND (position(NEW.public_key IN asked.attestation) = 0
            OR position(NEW.credential_id IN asked.attestation) = 0) THEN
        RAISE EXCEPTION 'key bytes: this is not the key that was asked for';
    END IF;
    IF length(NEW.public_key) < 32 OR length(NEW.credential_id) < 16 THEN
        RAISE EXCEPTION 'key bytes: this is too short for a key';
    END IF;
    IF NEW.is_introduced AND asked.introduced_by_id IS NULL
        AND EXISTS (SELECT FROM approvals_key WHERE person_id = NEW.person_id) THEN
        RAISE EXCEPTION 'key introduction: no older key of the person signed for this one';
    END IF;
    NEW.enrolled_at := clock_timestamp();
    NEW.seasoned_at := NEW.enrolled_at + interval 'WAITING seconds';
    NEW.vouched_at := NULL;
    NEW.writer := session_user;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_key_guard BEFORE INSERT OR UPDATE ON approvals_key
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_key();
CREATE TRIGGER approvals_key_kept BEFORE DELETE OR TRUNCATE ON approvals_key
    FOR EACH STATEMENT EXECUTE FUNCTION placet_refuse_change();
""".replace("WAITING", str(limits.KEY_WAITING_SECONDS))

REVOCATION = """
CREATE FUNCTION approvals_guard_keyrevocation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    key approvals_key;
    told text := NEW.key_id || '|' || NEW.person_id || '|' || approvals_words(NEW.reason);
BEGIN
    NEW.revoked_at := clock_timestamp();
    NEW.writer := session_user;
    -- Decisions under way with this key end before it does.
    SELECT * INTO key FROM approvals_key WHERE id = NEW.key_id FOR NO KEY UPDATE;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/key-revocation/v1', told, ''::bytea)
    THEN
        RAISE EXCEPTION 'key revocation seal: nobody who was signed in revoked this key';
    END IF;
    IF key.tenant <> NEW.tenant OR NOT EXISTS (SELECT FROM console_user
            WHERE id = NEW.person_id AND is_active AND tenant = NEW.tenant) THEN
        RAISE EXCEPTION 'key revocation person: nobody of this tenant revoked this key';
    END IF;
    IF key.person_id <> NEW.person_id AND NOT EXISTS (
        SELECT FROM console_user_groups m JOIN auth_group g ON g.id = m.group_id
        WHERE m.user_id = NEW.person_id AND g.name = 'admin') THEN
        RAISE EXCEPTION 'key revocation right: this is the key of somebody else';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_keyrevocation_guard BEFORE INSERT ON approvals_keyrevocation
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_keyrevocation();
""" + append_only("approvals_keyrevocation", writer=False)

# Called by lock 2 and by the spending of a clearance, for what the gate's tier asks.
SIGNED = """
CREATE FUNCTION approvals_is_signed(d approvals_decision, tier text) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF tier = 'confirm' AND d.key_id IS NULL THEN
        RETURN true;
    END IF;
    RETURN EXISTS (
        SELECT FROM approvals_key k
        WHERE k.id = d.key_id AND k.tenant = d.tenant AND k.person_id = d.person_id
          AND k.kind = d.method AND d.signature IS NOT NULL
          AND NOT EXISTS (SELECT FROM approvals_keyrevocation r WHERE r.key_id = k.id)
          AND (coalesce(k.vouched_at <= d.decided_at, false) OR k.seasoned_at <= d.decided_at
            OR k.is_introduced AND tier IN ('confirm', 'passkey')));
END $$;

CREATE FUNCTION approvals_is_signed(d approvals_decision) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT approvals_is_signed(d, 'passkey')
$$;

CREATE FUNCTION approvals_guard_signature() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.key_id IS NULL THEN
        IF NEW.method <> 'confirm' OR NEW.signature IS NOT NULL THEN
            RAISE EXCEPTION 'decision key: a signature needs the key that made it';
        END IF;
        RETURN NEW;
    END IF;
    -- The revocation of a key and a decision with it take turns.
    PERFORM FROM approvals_key WHERE id = NEW.key_id FOR SHARE;
    IF EXISTS (SELECT FROM approvals_keyrevocation WHERE key_id = NEW.key_id) THEN
        RAISE EXCEPTION 'decision key: the key was revoked';
    END IF;
    IF NOT EXISTS (SELECT FROM approvals_key k
        WHERE k.id = NEW.key_id AND k.tenant = NEW.tenant AND k.person_id = NEW.person_id
          AND k.kind = NEW.method AND NEW.signature IS NOT NULL) THEN
        RAISE EXCEPTION 'decision key: this is no key of the person who decides';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_decision_signature BEFORE INSERT ON approvals_decision
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_signature();
"""

KEYS = REQUEST + KEY + REVOCATION + SIGNED
KEYS_UNDO = """
DROP TRIGGER approvals_decision_signature ON approvals_decision;
DROP TRIGGER approvals_keyrevocation_guard ON approvals_keyrevocation;
DROP TRIGGER approvals_keyrevocation_append_only ON approvals_keyrevocation;
DROP TRIGGER approvals_key_guard ON approvals_key;
DROP TRIGGER approvals_key_kept ON approvals_key;
DROP TRIGGER approvals_keyrequest_guard ON approvals_keyrequest;
DROP TRIGGER approvals_keyrequest_kept ON approvals_keyrequest;
DROP FUNCTION approvals_guard_signature;
DROP FUNCTION approvals_is_signed(approvals_decision);
DROP FUNCTION approvals_is_signed(approvals_decision, text);
DROP FUNCTION approvals_guard_keyrevocation, approvals_guard_key, approvals_guard_keyrequest;
"""

"""What takes two admins: a change is carried out by the gatekeeper, and only when two have said so.

The effects themselves (a member of a group, a freeze lifted) ask for a change of exactly that
body, applied in the same transaction. The owner's role may set up groups without.
"""

from __future__ import annotations

# Two accounts with one e-mail address are one human, who has one voice.
HUMANS = """
CREATE FUNCTION approvals_human(person bigint) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE WHEN btrim(email) = '' THEN 'person ' || id
        ELSE 'address ' || lower(btrim(email)) END
    FROM console_user WHERE id = person
$$;

CREATE FUNCTION approvals_has_role(person bigint, of_tenant text, roles text[]) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM console_user u
        JOIN console_user_groups m ON m.user_id = u.id JOIN auth_group g ON g.id = m.group_id
        WHERE u.id = person AND u.tenant = of_tenant AND u.is_active AND g.name = ANY(roles))
$$;

CREATE FUNCTION approvals_is_person(person bigint, of_tenant text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM console_user WHERE id = person AND tenant = of_tenant AND is_active)
$$;
"""

CHANGE = """
CREATE FUNCTION approvals_change_digest(change approvals_change) RETURNS bytea
    LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT sha256('placet/change/v1'::bytea || '\\x00'::bytea || convert_to(
        change.id || '|' || approvals_words(change.tenant) || '|' || change.kind || '|'
            || change.proposed_by_id || '|', 'UTF8') || change.body)
$$;

CREATE FUNCTION approvals_change_is_sealed(change approvals_change) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT change.seal = approvals_seal_of(
        'placet/proposal/v1',
        change.id || '|' || change.proposed_by_id || '|' || approvals_words(change.reason) || '|',
        approvals_change_digest(change))
$$;

CREATE FUNCTION approvals_voice_is_sealed(voice approvals_changevoice) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT voice.seal = approvals_seal_of(
        'placet/changevoice/v1',
        voice.change_id || '|' || voice.person_id || '|' || voice.verdict || '|'
            || approvals_words(voice.reason) || '|',
        voice.digest)
$$;

CREATE FUNCTION approvals_change_voices(change approvals_change) RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(DISTINCT approvals_human(person)) FROM (
        SELECT change.proposed_by_id AS person WHERE approvals_change_is_sealed(change)
        UNION ALL
        SELECT v.person_id FROM approvals_changevoice v
        WHERE v.change_id = change.id AND v.verdict = 'approve' AND v.digest = change.digest
          AND approvals_voice_is_sealed(v)) said
    WHERE approvals_has_role(person, change.tenant, ARRAY['admin'])
$$;

CREATE FUNCTION approvals_guard_new_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.proposed_at := clock_timestamp();
    NEW.expires_at := least(NEW.expires_at, clock_timestamp() + interval '7 days');
    NEW.writer := session_user;
    IF (NEW.status, NEW.closed_at, NEW.error, NEW.applied_in)
        IS DISTINCT FROM ('open', NULL::timestamptz, '', NULL::bigint) THEN
        RAISE EXCEPTION 'change birth: a change begins open';
    END IF;
    IF NEW.digest <> approvals_change_digest(NEW) THEN
        RAISE EXCEPTION 'change digest: the digest is not that of the body';
    END IF;
    IF NOT approvals_is_person(NEW.proposed_by_id, NEW.tenant) THEN
        RAISE EXCEPTION 'change person: nobody of this tenant proposes this';
    END IF;
    IF approvals_change_is_sealed(NEW) IS NOT TRUE THEN
        RAISE EXCEPTION 'change seal: nobody who was signed in proposed this';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_change_birth BEFORE INSERT ON approvals_change
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_new_change();

CREATE FUNCTION approvals_guard_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    was approvals_change := OLD;
    voices integer;
BEGIN
    NEW.closed_at := OLD.closed_at;
    NEW.applied_in := OLD.applied_in;
    was.status := NEW.status;
    was.error := NEW.error;
    IF was IS DISTINCT FROM NEW THEN
        RAISE EXCEPTION 'change bytes: what was proposed cannot be changed';
    END IF;
    IF OLD.status <> 'open' THEN
        RAISE EXCEPTION 'change closed: a change that is % stays so', OLD.status;
    END IF;
    IF NEW.status = 'open' THEN
        RETURN NEW;
    END IF;
    NEW.closed_at := clock_timestamp();
    IF NEW.status <> 'applied' THEN
        RETURN NEW;
    END IF;
    IF NEW.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'change late: the time of the change is over';
    END IF;
    IF EXISTS (SELECT FROM approvals_changevoice
               WHERE change_id = NEW.id AND verdict = 'refuse') THEN
        RAISE EXCEPTION 'change refused: a refusal stands against it';
    END IF;
    voices := approvals_change_voices(OLD);
    IF voices < 2 THEN
        RAISE EXCEPTION 'change voices: %/2 admins have agreed', voices;
    END IF;
    NEW.applied_in := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_change_guard BEFORE UPDATE ON approvals_change
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_change();
CREATE TRIGGER approvals_change_kept BEFORE DELETE OR TRUNCATE ON approvals_change
    FOR EACH STATEMENT EXECUTE FUNCTION placet_refuse_change();

CREATE FUNCTION approvals_guard_changevoice() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    change approvals_change;
BEGIN
    NEW.at := clock_timestamp();
    NEW.writer := session_user;
    SELECT * INTO change FROM approvals_change
        WHERE id = NEW.change_id AND tenant = NEW.tenant FOR NO KEY UPDATE;
    IF NOT FOUND OR change.status <> 'open' OR change.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'voice change: the change is not open';
    END IF;
    IF NEW.digest <> change.digest THEN
        RAISE EXCEPTION 'voice digest: this is not what the change is about';
    END IF;
    IF approvals_voice_is_sealed(NEW) IS NOT TRUE THEN
        RAISE EXCEPTION 'voice seal: nobody who was signed in said this';
    END IF;
    IF NEW.verdict = 'refuse' AND NEW.reason = '' THEN
        RAISE EXCEPTION 'voice reason: a refusal needs a reason';
    END IF;
    IF NEW.verdict = 'refuse' AND NEW.person_id = change.proposed_by_id THEN
        RETURN NEW;
    END IF;
    IF NOT approvals_has_role(NEW.person_id, NEW.tenant, ARRAY['admin']) THEN
        RAISE EXCEPTION 'voice role: only an admin decides about a change';
    END IF;
    IF NEW.verdict = 'approve'
        AND approvals_human(NEW.person_id) = approvals_human(change.proposed_by_id) THEN
        RAISE EXCEPTION 'voice human: who proposed a change is not its second voice';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_changevoice_guard BEFORE INSERT ON approvals_changevoice
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_changevoice();
"""

# What a guarded effect asks: is a change of this body being carried out in this transaction?
APPLIES = """
CREATE FUNCTION approvals_applies(of_kind text, of_tenant text, part jsonb) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM approvals_change
        WHERE tenant = of_tenant AND kind = of_kind AND status = 'applied'
          AND applied_in = pg_current_xact_id()::text::bigint
          AND convert_from(body, 'UTF8')::jsonb @> part)
$$;

CREATE FUNCTION approvals_applies_bytes(of_kind text, of_tenant text, whole bytea)
    RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM approvals_change
        WHERE tenant = of_tenant AND kind = of_kind AND status = 'applied'
          AND applied_in = pg_current_xact_id()::text::bigint AND body = whole)
$$;

CREATE FUNCTION approvals_guard_reviewer() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    kind text := 'add_reviewer';
    member approvals_reviewer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        kind := 'remove_reviewer';
        member := OLD;
    ELSE
        member := NEW;
    END IF;
    IF session_user <> 'placet_owner' AND (TG_OP = 'UPDATE' OR NOT approvals_applies(kind,
        member.tenant,
        jsonb_build_object('group', member."group", 'person', member.person_id))) THEN
        RAISE EXCEPTION 'reviewer change: two admins have not agreed to this';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF session_user = 'placet_owner' THEN
        RETURN NEW;
    END IF;
    IF NOT approvals_is_person(NEW.person_id, NEW.tenant) THEN
        RAISE EXCEPTION 'reviewer person: nobody of this tenant is meant';
    END IF;
    NEW.since := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_reviewer_guard BEFORE INSERT OR UPDATE OR DELETE ON approvals_reviewer
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_reviewer();
"""

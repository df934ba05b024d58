"""Who spoke: seals, humans, membership, and the voices that count."""

# HMAC (RFC 2104) from the built-in sha256, so that no extension is needed.
HMAC = """
CREATE FUNCTION placet_hmac_sha256(message bytea, key bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    padded bytea := key || decode(repeat('00', 64 - length(key)), 'hex');
    word bigint;
    outer_pad bytea := '';
    inner_pad bytea := '';
BEGIN
    -- Eight bytes at once; the numbers are 0x36 and 0x5c, eight times each.
    FOR i IN 0..7 LOOP
        word := ('x' || encode(substr(padded, 8 * i + 1, 8), 'hex'))::bit(64)::bigint;
        inner_pad := inner_pad || int8send(word # 3906369333256140342);
        outer_pad := outer_pad || int8send(word # 6655295901103053916);
    END LOOP;
    RETURN sha256(outer_pad || sha256(inner_pad || message));
END $$;

CREATE FUNCTION approvals_seal_of(tag text, told text, digest bytea)
    RETURNS bytea LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT placet_hmac_sha256(
        convert_to(tag, 'UTF8') || '\\x00'::bytea || convert_to(told, 'UTF8') || digest,
        (SELECT key FROM approvals_sealkey WHERE id = 1))
$$;
REVOKE ALL ON FUNCTION approvals_seal_of FROM PUBLIC;

CREATE FUNCTION approvals_words(words text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(sha256(convert_to(words, 'UTF8')), 'hex')
$$;

CREATE FUNCTION approvals_is_sealed(d approvals_decision) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN d.seal = approvals_seal_of(
        'placet/decision/v2',
        d.gate_id || '|' || d.person_id || '|' || coalesce(d.on_behalf_of_id::text, '') || '|'
            || d.verdict || '|' || approvals_words(d.reason) || '|' || approvals_words(d.typed)
            || '|',
        d.digest);
END $$;
"""

VOICES = """
CREATE FUNCTION approvals_requested_before(run uuid, person bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    requester bigint;
    comes_from_none boolean;
BEGIN
    -- Most runs come from no other, and there is one requester to be looked at.
    SELECT requested_by_id, num_nonnulls(forked_from_id, parent_id, continued_from_id) = 0
        INTO requester, comes_from_none FROM runs_run WHERE id = run;
    IF comes_from_none THEN
        RETURN coalesce(
            requester = person OR approvals_human(requester) = approvals_human(person), false);
    END IF;
    -- Whoever forks a run is its requester, but what it does is what the old one was asked for.
    RETURN EXISTS (
        WITH RECURSIVE line AS (
            SELECT id, requested_by_id, forked_from_id, parent_id, continued_from_id
            FROM runs_run WHERE id = run
            UNION
            SELECT r.id, r.requested_by_id, r.forked_from_id, r.parent_id, r.continued_from_id
            FROM runs_run r JOIN line
                ON r.id IN (line.forked_from_id, line.parent_id, line.continued_from_id)
        )
        SELECT FROM line WHERE requested_by_id = person
            OR approvals_human(requested_by_id) = approvals_human(person));
END $$;

CREATE FUNCTION approvals_belongs(gate approvals_gate, threshold jsonb, person bigint)
    RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    latest timestamptz := gate.opened_at
        - interval '1 second' * coalesce((threshold->>'member_for_seconds')::integer, 0);
BEGIN
    -- Whoever joined after the gate was opened, or was given the role, does not count at it.
    RETURN EXISTS (
        SELECT FROM approvals_reviewer r
        WHERE r.tenant = gate.tenant AND r.person_id = person AND r.since <= latest
          AND (r.group = threshold->>'group'
               OR gate.escalates_at <= clock_timestamp() AND r.group = ANY(gate.later_groups))
    ) OR threshold->>'role' IS NOT NULL
        AND approvals_held_role(person, gate.tenant, threshold->>'role', latest);
END $$;

CREATE FUNCTION approvals_fits(
    gate approvals_gate, threshold jsonb, person bigint,
    moment timestamptz DEFAULT clock_timestamp()
) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- The two who broke the glass count at any threshold: a broken glass adds people, and takes
    -- no voices away.
    RETURN approvals_is_person(person, gate.tenant)
        AND (approvals_belongs(gate, threshold, person)
             OR approvals_broke_glass(gate, person, moment));
END $$;

CREATE FUNCTION approvals_is_member(gate approvals_gate, person bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN NOT approvals_requested_before(gate.run_id, person) AND EXISTS (
        SELECT FROM jsonb_array_elements(gate.needs->'consent'->'thresholds') AS threshold
        WHERE approvals_fits(gate, threshold, person));
END $$;

CREATE FUNCTION approvals_voice_fits(
    gate approvals_gate, threshold jsonb, d approvals_decision
) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- On behalf of somebody: as that person could, while the delegation was in force.
    RETURN NOT approvals_requested_before(gate.run_id, d.person_id)
        AND (d.on_behalf_of_id IS NULL
             OR NOT approvals_requested_before(gate.run_id, d.on_behalf_of_id))
        AND approvals_fits(
            gate, threshold, coalesce(d.on_behalf_of_id, d.person_id), d.decided_at)
        AND (d.on_behalf_of_id IS NULL OR approvals_delegates(
            gate, d.on_behalf_of_id, d.person_id, threshold->>'group', d.decided_at));
END $$;

CREATE FUNCTION approvals_may_voice(gate approvals_gate, d approvals_decision) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM jsonb_array_elements(gate.needs->'consent'->'thresholds') AS threshold
        WHERE approvals_voice_fits(gate, threshold, d));
END $$;

CREATE FUNCTION approvals_principal_of(gate approvals_gate, person bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    voice approvals_decision;
BEGIN
    -- On whose behalf this person may decide here, who is not asked themself; null for nobody.
    voice.person_id := person;
    voice.decided_at := clock_timestamp();
    FOR voice.on_behalf_of_id IN
        SELECT principal_id FROM approvals_delegation
        WHERE tenant = gate.tenant AND delegate_id = person AND revoked_at IS NULL
        ORDER BY made_at
    LOOP
        IF approvals_may_voice(gate, voice) THEN
            RETURN voice.on_behalf_of_id;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION approvals_counts(d approvals_decision, gate approvals_gate) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Whether it stands as an approval; whether its person is asked is told by the thresholds that
    -- it fits, of which there must be one (see approvals_fitting).
    RETURN d.verdict = 'approve' AND d.digest = gate.digest AND approvals_is_sealed(d)
        AND approvals_is_signed(d, gate.tier)
        AND NOT EXISTS (SELECT FROM approvals_revocation r WHERE r.decision_id = d.id);
END $$;

CREATE FUNCTION approvals_fitting(asked uuid)
    RETURNS TABLE (decision uuid, human text, thresholds integer[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- The approvals that count at a gate, and which of its thresholds each of them fits.
    RETURN QUERY
        SELECT d.id, approvals_human(coalesce(d.on_behalf_of_id, d.person_id)), f.fits
        FROM approvals_gate g JOIN approvals_decision d ON d.gate_id = g.id,
            LATERAL (SELECT ARRAY(
                SELECT (t.number - 1)::integer
                FROM jsonb_array_elements(g.needs->'consent'->'thresholds')
                    WITH ORDINALITY AS t (threshold, number)
                WHERE approvals_voice_fits(g, t.threshold, d)) AS fits OFFSET 0) AS f
        WHERE g.id = asked AND approvals_counts(d, g) AND f.fits <> '{}';
END $$;

CREATE FUNCTION approvals_askable(of_tenant text, run uuid, needs jsonb)
    RETURNS TABLE (human text, thresholds integer[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
BEGIN
    -- Who could decide at a gate that was opened now, and which thresholds each of them fits.
    gate.tenant := of_tenant;
    gate.run_id := run;
    gate.needs := needs;
    gate.opened_at := clock_timestamp();
    gate := approvals_show_needs(gate);
    gate.escalates_at := '-infinity';
    RETURN QUERY
        SELECT approvals_human(u.id), f.fits FROM console_user u, LATERAL (SELECT ARRAY(
            SELECT (t.number - 1)::integer
            FROM jsonb_array_elements(needs->'consent'->'thresholds')
                WITH ORDINALITY AS t (threshold, number)
            WHERE approvals_fits(gate, t.threshold, u.id)) AS fits) AS f
        WHERE u.tenant = of_tenant AND u.is_active AND f.fits <> '{}'
          AND NOT approvals_requested_before(run, u.id);
END $$;

CREATE FUNCTION approvals_shortage(gate approvals_gate) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    counts integer[] := ARRAY(
        SELECT (t->>'count')::integer
        FROM jsonb_array_elements(gate.needs->'consent'->'thresholds') AS t);
    size integer := coalesce(array_length(counts, 1), 0);
    most integer := 0;
    needed integer;
    present integer;
    voices jsonb;
BEGIN
    -- Null when enough people have consented. Distinct people for each threshold of "all": by
    -- Hall's theorem there are, when each set of thresholds has enough people among it.
    IF gate.needs ? 'allow' AND NOT gate.needs ? 'consent' THEN
        RETURN NULL;
    END IF;
    IF size = 0 THEN
        RETURN 'the rule asks nobody';
    END IF;
    IF size = 1 THEN
        -- Whoever counts fits the one threshold that there is.
        SELECT count(DISTINCT f.human) INTO present FROM approvals_fitting(gate.id) f;
        needed := greatest(counts[1], 1);
        RETURN CASE WHEN present < needed THEN format('quorum %s/%s', present, needed) END;
    END IF;
    -- Looked up once: each voice is weighed with its seal, its key and its delegation.
    SELECT coalesce(jsonb_agg(f), '[]') INTO voices FROM approvals_fitting(gate.id) f;
    IF gate.needs->'consent'->>'mode' = 'any' THEN
        FOR i IN 1..size LOOP
            SELECT count(DISTINCT f.human) INTO present
                FROM jsonb_to_recordset(voices) AS f (human text, thresholds integer[])
                WHERE i - 1 = ANY(f.thresholds);
            IF present >= greatest(counts[i], 1) THEN
                RETURN NULL;
            END IF;
            most := greatest(most, present);
        END LOOP;
        RETURN format('quorum %s/%s', most, gate.quorum);
    END IF;
    FOR subset IN REVERSE (1 << size) - 1 .. 1 LOOP
        needed := 0;
        FOR i IN 1..size LOOP
            IF subset & (1 << (i - 1)) <> 0 THEN
                needed := needed + greatest(counts[i], 1);
            END IF;
        END LOOP;
        SELECT count(DISTINCT f.human) INTO present
            FROM jsonb_to_recordset(voices) AS f (human text, thresholds integer[])
            WHERE EXISTS (SELECT FROM unnest(f.thresholds) AS one
                          WHERE subset & (1 << one) <> 0);
        IF present < needed THEN
            RETURN format('quorum %s/%s', present, needed);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
"""

"""Who spoke: seals, humans, membership, and the voices that count."""

# HMAC (RFC 2104) from the built-in sha256, so that no extension is needed.
HMAC = """
CREATE FUNCTION placet_hmac_sha256(message bytea, key bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    padded bytea := key || decode(repeat('00', 64 - length(key)), 'hex');
    outer_pad bytea := decode(repeat('5c', 64), 'hex');
    inner_pad bytea := decode(repeat('36', 64), 'hex');
BEGIN
    FOR i IN 0..63 LOOP
        outer_pad := set_byte(outer_pad, i, get_byte(padded, i) # 92);
        inner_pad := set_byte(inner_pad, i, get_byte(padded, i) # 54);
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
CREATE FUNCTION approvals_human(person bigint) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Two accounts with one address are one human being, who has one voice.
    RETURN coalesce((SELECT nullif(lower(trim(email)), '') FROM console_user WHERE id = person),
                    'account ' || person);
END $$;

CREATE FUNCTION approvals_requested_before(run uuid, person bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
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

CREATE FUNCTION approvals_fits(gate approvals_gate, threshold jsonb, person bigint)
    RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Whoever joined after the gate was opened does not count at it.
    RETURN EXISTS (
        SELECT FROM console_user u WHERE u.id = person AND u.is_active AND u.tenant = gate.tenant
    ) AND (EXISTS (
        SELECT FROM approvals_reviewer r
        WHERE r.tenant = gate.tenant AND r.person_id = person
          AND r.since <= gate.opened_at
              - interval '1 second' * coalesce((threshold->>'member_for_seconds')::integer, 0)
          AND (r.group = threshold->>'group'
               OR gate.escalates_at <= clock_timestamp() AND r.group = ANY(gate.later_groups))
    ) OR EXISTS (
        SELECT FROM console_user_groups ug JOIN auth_group g ON g.id = ug.group_id
        WHERE ug.user_id = person AND g.name = threshold->>'role'
    ));
END $$;

CREATE FUNCTION approvals_is_member(gate approvals_gate, person bigint) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN NOT approvals_requested_before(gate.run_id, person) AND EXISTS (
        SELECT FROM jsonb_array_elements(gate.needs->'consent'->'thresholds') AS threshold
        WHERE approvals_fits(gate, threshold, person));
END $$;

CREATE FUNCTION approvals_counts(d approvals_decision, gate approvals_gate) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN d.verdict = 'approve' AND d.digest = gate.digest AND approvals_is_sealed(d)
        AND NOT approvals_requested_before(gate.run_id, d.person_id)
        AND approvals_is_member(gate, coalesce(d.on_behalf_of_id, d.person_id))
        AND approvals_is_signed(d, gate.tier)
        AND NOT EXISTS (SELECT FROM approvals_revocation r WHERE r.decision_id = d.id);
END $$;

CREATE FUNCTION approvals_fitting(asked uuid)
    RETURNS TABLE (decision uuid, human text, thresholds integer[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- The approvals that count at a gate, and which of its thresholds each of them fits.
    RETURN QUERY
        SELECT d.id, approvals_human(coalesce(d.on_behalf_of_id, d.person_id)), ARRAY(
            SELECT (t.number - 1)::integer
            FROM jsonb_array_elements(g.needs->'consent'->'thresholds')
                WITH ORDINALITY AS t (threshold, number)
            WHERE approvals_fits(g, t.threshold, coalesce(d.on_behalf_of_id, d.person_id)))
        FROM approvals_gate g JOIN approvals_decision d ON d.gate_id = g.id
        WHERE g.id = asked AND approvals_counts(d, g);
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
BEGIN
    -- Null when enough people have consented. Distinct people for each threshold of "all": by
    -- Hall's theorem there are, when each set of thresholds has enough people among it.
    IF gate.needs ? 'allow' AND NOT gate.needs ? 'consent' THEN
        RETURN NULL;
    END IF;
    IF size = 0 THEN
        RETURN 'the rule asks nobody';
    END IF;
    IF gate.needs->'consent'->>'mode' = 'any' THEN
        FOR i IN 1..size LOOP
            SELECT count(DISTINCT f.human) INTO present FROM approvals_fitting(gate.id) f
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
        SELECT count(DISTINCT f.human) INTO present FROM approvals_fitting(gate.id) f
            WHERE EXISTS (SELECT FROM unnest(f.thresholds) AS one
                          WHERE subset & (1 << one) <> 0);
        IF present < needed THEN
            RETURN format('quorum %s/%s', present, needed);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
"""

"""Who spoke: seals, membership, and the voices that count."""

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
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT d.seal = approvals_seal_of(
        'placet/decision/v1',
        d.gate_id || '|' || d.person_id || '|' || d.verdict || '|'
            || approvals_words(d.reason) || '|',
        d.digest)
$$;

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
        SELECT FROM line WHERE requested_by_id = person);
END $$;

CREATE FUNCTION approvals_is_member(gate approvals_gate, person bigint) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM approvals_reviewer r JOIN console_user u ON u.id = r.person_id
        WHERE r.tenant = gate.tenant AND r.group = gate.group AND r.person_id = person
          AND u.is_active AND u.tenant = gate.tenant)
        AND NOT approvals_requested_before(gate.run_id, person)
$$;

CREATE FUNCTION approvals_voices(gate approvals_gate) RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(DISTINCT d.person_id) FROM approvals_decision d
    WHERE d.gate_id = gate.id AND d.verdict = 'approve' AND d.digest = gate.digest
      AND d.person_id <> gate.requester_id AND approvals_is_member(gate, d.person_id)
      AND approvals_is_sealed(d)
$$;
"""

"""Several requests decided at once: only of the lowest tier, and each by a decision of its own."""

from approvals import limits
from runs.guards import append_only

BATCH = f"""
CREATE FUNCTION approvals_digest_of_list(digests bytea[]) RETURNS bytea
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(convert_to('placet/batch/v1', 'UTF8') || '\\x00'::bytea
        || int4send(cardinality(digests))
        || (SELECT string_agg(int4send(length(d)) || d, ''::bytea ORDER BY d)
            FROM unnest(digests) AS d))
$$;

CREATE FUNCTION approvals_guard_batch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    size integer := cardinality(NEW.digests);
    asked text;
BEGIN
    NEW.made_at := clock_timestamp();
    NEW.writer := session_user;
    IF NOT approvals_is_person(NEW.person_id, NEW.tenant) THEN
        RAISE EXCEPTION 'batch person: nobody active of this tenant decides this';
    END IF;
    IF (size BETWEEN 1 AND {limits.MAX_BATCH} AND cardinality(NEW.gates) = size) IS NOT TRUE THEN
        RAISE EXCEPTION 'batch size: from 1 to {limits.MAX_BATCH} requests are decided at once';
    END IF;
    IF NEW.digests IS DISTINCT FROM ARRAY(
        SELECT DISTINCT d FROM unnest(NEW.digests) AS d ORDER BY d) THEN
        RAISE EXCEPTION 'batch list: each request stands in it once, in order';
    END IF;
    FOR i IN 1..size LOOP
        SELECT tier INTO asked FROM approvals_gate
            WHERE id = NEW.gates[i] AND tenant = NEW.tenant AND digest = NEW.digests[i];
        IF NOT FOUND THEN
            RAISE EXCEPTION 'batch list: no gate asks about this digest';
        END IF;
        IF asked <> 'confirm' THEN
            RAISE EXCEPTION 'batch tier: only requests of the lowest tier are decided at once';
        END IF;
    END LOOP;
    IF NEW.verdict <> 'approve' AND NEW.reason = '' THEN
        RAISE EXCEPTION 'batch reason: a denial needs a reason';
    END IF;
    IF NEW.digest IS DISTINCT FROM approvals_digest_of_list(NEW.digests) THEN
        RAISE EXCEPTION 'batch digest: this is not the digest of the list';
    END IF;
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/batch/v1',
        NEW.id || '|' || NEW.person_id || '|' || NEW.verdict || '|'
            || approvals_words(NEW.reason), NEW.digest) THEN
        RAISE EXCEPTION 'batch seal: nobody who was signed in confirmed this list';
    END IF;
    IF NEW.verdict = 'approve' THEN
        PERFORM pg_advisory_xact_lock(hashtext('placet.pace'), hashtext(NEW.person_id::text));
        IF approvals_paced(NEW.tenant, NEW.person_id) + size > {limits.RATE_APPROVALS} THEN
            RAISE EXCEPTION 'batch pace: with these the person would have approved more than'
                ' {limits.RATE_APPROVALS} requests within {limits.RATE_SECONDS} seconds';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_batch_guard BEFORE INSERT ON approvals_batch
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_batch();
"""

# Beside the guard of every decision, which counts seal, digest, pace and person of each.
BATCHED = """
CREATE FUNCTION approvals_guard_batched() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    batch approvals_batch;
    asked text;
BEGIN
    IF NEW.batch_id IS NULL THEN
        RETURN NEW;
    END IF;
    SELECT * INTO batch FROM approvals_batch WHERE id = NEW.batch_id AND tenant = NEW.tenant;
    IF NOT FOUND OR (NEW.digest = ANY(batch.digests)) IS NOT TRUE THEN
        RAISE EXCEPTION 'decision batch: this request does not stand in the list';
    END IF;
    IF batch.person_id <> NEW.person_id THEN
        RAISE EXCEPTION 'decision batch: somebody else confirmed the list';
    END IF;
    IF (batch.verdict, batch.reason) IS DISTINCT FROM (NEW.verdict, NEW.reason) THEN
        RAISE EXCEPTION 'decision batch: the list was confirmed with another verdict or reason';
    END IF;
    SELECT tier INTO asked FROM approvals_gate WHERE id = NEW.gate_id;
    IF asked IS DISTINCT FROM 'confirm' THEN
        RAISE EXCEPTION 'decision batch: only requests of the lowest tier are decided at once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_decision_batch BEFORE INSERT ON approvals_decision
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_batched();
"""

BATCHES = BATCH + BATCHED + append_only("approvals_batch", writer=False)
BATCHES_UNDO = """
DROP FUNCTION approvals_guard_batched, approvals_guard_batch, approvals_digest_of_list CASCADE;
"""

"""Locks 1 to 3 as the database keeps them: the SQL of migration 0002.

Functions run with the rights of the owner and a pinned search path, and each refusal names
its lock. They lock the gate's row, so that claim, decision and expiry take turns.
"""

from __future__ import annotations

from runs.guards import append_only

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

GATE = """
CREATE FUNCTION approvals_guard_new_gate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    rule approvals_policy;
    first_rule uuid;
    step runs_step;
    names jsonb;
    told jsonb;
    amount numeric;
BEGIN
    SELECT * INTO rule FROM approvals_policy
        WHERE id = NEW.policy_id AND tenant = NEW.tenant AND retired_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'gate policy: no rule in force stands behind this gate';
    END IF;
    SELECT * INTO step FROM runs_step WHERE id = NEW.step_id AND run_id = NEW.run_id;
    IF NOT FOUND OR step.status <> 'held' OR NOT step.is_money OR step.tenant <> NEW.tenant THEN
        RAISE EXCEPTION 'gate step: a gate opens for a held money step alone';
    END IF;
    -- What is paid is read from the bytes of the step, not from what the gatekeeper says.
    SELECT body->'money' INTO names FROM runs_declaration WHERE digest = step.declaration_id;
    told := convert_from(step.arguments, 'UTF8')::jsonb;
    amount := (told->>(names->>'amount'))::numeric;
    IF (NEW.tool, NEW.amount_minor, NEW.currency)
        IS DISTINCT FROM (step.name, amount, told->>(names->>'currency')) THEN
        RAISE EXCEPTION 'gate money: the gate does not ask about what the step pays';
    END IF;
    SELECT id INTO first_rule FROM approvals_policy p
        WHERE p.tenant = NEW.tenant AND p.retired_at IS NULL AND p.tool = step.name
          AND p.currency = NEW.currency AND p.above_minor < amount AND amount <= p.up_to_minor
        ORDER BY p.position LIMIT 1;
    IF first_rule IS DISTINCT FROM NEW.policy_id
        OR (NEW.quorum, NEW.group) IS DISTINCT FROM (rule.quorum, rule.group) THEN
        RAISE EXCEPTION 'gate rule: the gate does not ask for what its policy asks for';
    END IF;
    IF NEW.requester_id <> (SELECT requested_by_id FROM runs_run WHERE id = NEW.run_id) THEN
        RAISE EXCEPTION 'gate requester: the requester is who started the run';
    END IF;
    IF NEW.digest <> sha256('placet/approval/v1'::bytea || '\\x00'::bytea || NEW.envelope) THEN
        RAISE EXCEPTION 'gate digest: the digest is not that of the envelope';
    END IF;
    IF NEW.status <> 'open' OR NEW.expires_at > NEW.opened_at
        + rule.expires_after_seconds * interval '1 second' THEN
        RAISE EXCEPTION 'gate birth: a gate begins open, and no longer than its policy says';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_gate_birth BEFORE INSERT ON approvals_gate
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_new_gate();

CREATE FUNCTION approvals_guard_gate() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    was approvals_gate := OLD;
BEGIN
    was.status := NEW.status;
    was.closed_at := NEW.closed_at;
    IF was IS DISTINCT FROM NEW THEN
        RAISE EXCEPTION 'gate bytes: what a gate asks about cannot be changed';
    END IF;
    IF OLD.status <> 'open' THEN
        RAISE EXCEPTION 'gate closed: a gate that is % stays so', OLD.status;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_gate_guard BEFORE UPDATE ON approvals_gate
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_gate();

CREATE FUNCTION approvals_guard_policy() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    was approvals_policy := OLD;
BEGIN
    was.retired_at := NEW.retired_at;
    IF was IS DISTINCT FROM NEW OR OLD.retired_at IS NOT NULL THEN
        RAISE EXCEPTION 'policy bytes: a published rule is retired, never edited';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_policy_guard BEFORE UPDATE ON approvals_policy
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_policy();
"""

DECISION = """
CREATE FUNCTION approvals_guard_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
BEGIN
    NEW.decided_at := clock_timestamp();
    NEW.writer := session_user;
    SELECT * INTO gate FROM approvals_gate
        WHERE id = NEW.gate_id AND tenant = NEW.tenant FOR NO KEY UPDATE;
    IF NOT FOUND OR gate.status <> 'open' OR gate.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'decision gate: the gate is not open';
    END IF;
    IF NEW.digest <> gate.digest THEN
        RAISE EXCEPTION 'decision digest: this is not what the gate asks about';
    END IF;
    IF NEW.person_id = gate.requester_id THEN
        RAISE EXCEPTION 'decision requester: who requested may not decide';
    END IF;
    IF NOT approvals_is_member(gate, NEW.person_id) THEN
        RAISE EXCEPTION 'decision eligibility: the person is not in the group %', gate.group;
    END IF;
    IF approvals_is_sealed(NEW) IS NOT TRUE THEN
        RAISE EXCEPTION 'decision seal: nobody who was signed in confirmed this decision';
    END IF;
    IF NEW.verdict = 'deny' AND NEW.reason = '' THEN
        RAISE EXCEPTION 'decision reason: a denial needs a reason';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_decision_guard BEFORE INSERT ON approvals_decision
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_decision();
"""

# Lock 2, deferred: the whole transaction is looked at as it would be committed.
CLEARANCE = """
CREATE FUNCTION approvals_guard_clearance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
    rule approvals_policy;
    approvals integer;
BEGIN
    SELECT * INTO gate FROM approvals_gate WHERE id = NEW.gate_id FOR NO KEY UPDATE;
    SELECT * INTO rule FROM approvals_policy WHERE id = gate.policy_id;
    IF (gate.tenant, gate.step_id, gate.digest)
        IS DISTINCT FROM (NEW.tenant, NEW.step_id, NEW.digest) THEN
        RAISE EXCEPTION 'lock 2: the clearance is not for the bytes of its gate';
    END IF;
    IF gate.digest <> sha256('placet/approval/v1'::bytea || '\\x00'::bytea || gate.envelope) THEN
        RAISE EXCEPTION 'lock 2: the digest is not that of the envelope';
    END IF;
    IF gate.status <> 'approved' THEN
        RAISE EXCEPTION 'lock 2: the gate is %', gate.status;
    END IF;
    IF gate.expires_at <= NEW.cleared_at THEN
        RAISE EXCEPTION 'lock 2: the time of the gate is over';
    END IF;
    IF EXISTS (SELECT FROM approvals_decision WHERE gate_id = gate.id AND verdict = 'deny') THEN
        RAISE EXCEPTION 'lock 2: a denial stands against it';
    END IF;
    approvals := approvals_voices(gate);
    IF approvals < greatest(rule.quorum, 1) THEN
        RAISE EXCEPTION 'lock 2: quorum %/%', approvals, rule.quorum;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_clearance_lock AFTER INSERT ON approvals_clearance
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_clearance();

CREATE FUNCTION approvals_date_clearance() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.cleared_at := clock_timestamp();
    NEW.expires_at := least(NEW.expires_at, clock_timestamp() + interval '1 day');
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_clearance_birth BEFORE INSERT ON approvals_clearance
    FOR EACH ROW EXECUTE FUNCTION approvals_date_clearance();

ALTER TABLE runs_step ADD CONSTRAINT runs_step_clearance_is_its_own
    FOREIGN KEY (clearance_id, id) REFERENCES approvals_clearance (id, step_id)
    DEFERRABLE INITIALLY DEFERRED;
"""

# P7: the executor's claim spends the clearance; the primary key lets that happen once.
SPEND = """
CREATE FUNCTION approvals_spend() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    leave approvals_clearance;
    gate approvals_gate;
BEGIN
    IF session_user <> 'placet_executor' THEN
        RAISE EXCEPTION 'spend role: only the executor spends a clearance, not %', session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT * INTO leave FROM approvals_clearance WHERE id = NEW.clearance_id
        AND step_id = NEW.id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'spend clearance: there is none for this step';
    END IF;
    SELECT * INTO gate FROM approvals_gate WHERE id = leave.gate_id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM approvals_decision WHERE gate_id = leave.gate_id AND verdict = 'deny')
    THEN
        RAISE EXCEPTION 'spend denied: a denial stands against it';
    END IF;
    IF EXISTS (SELECT FROM approvals_clearanceuse WHERE clearance_id = leave.id) THEN
        -- A later attempt of the same step, under the same key: the same one effect.
        IF OLD.attempt = 0 THEN
            RAISE EXCEPTION 'spend twice: the clearance has been spent';
        END IF;
        RETURN NEW;
    END IF;
    IF leave.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'spend late: the clearance has ended';
    END IF;
    -- Who approved must still be one who may: nobody who has left since moves money.
    IF approvals_voices(gate) < gate.quorum THEN
        RAISE EXCEPTION 'spend voices: % of % approvals still stand',
            approvals_voices(gate), gate.quorum;
    END IF;
    INSERT INTO approvals_clearanceuse (clearance_id, tenant, step_id, used_at, writer)
        VALUES (leave.id, leave.tenant, NEW.id, clock_timestamp(), session_user);
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_spend BEFORE UPDATE ON runs_step
    FOR EACH ROW WHEN (NEW.is_money AND NEW.status = 'running' AND OLD.status <> 'running')
    EXECUTE FUNCTION approvals_spend();
"""

# An answer about a doubt is sealed as a decision is; about money only its reviewers answer.
SETTLEMENT = """
CREATE FUNCTION approvals_guard_settlement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gate approvals_gate;
    told text := NEW.step_id || '|' || NEW.attempt || '|' || NEW.person_id || '|' || NEW.answer
        || '|' || approvals_words(NEW.reason) || '|'
        || encode(sha256(coalesce(NEW.result, ''::bytea)), 'hex');
BEGIN
    IF NEW.seal IS DISTINCT FROM approvals_seal_of('placet/settlement/v1', told, ''::bytea) THEN
        RAISE EXCEPTION 'settlement seal: nobody who was signed in gave this answer';
    END IF;
    IF NOT EXISTS (SELECT FROM console_user
                   WHERE id = NEW.person_id AND is_active AND tenant = NEW.tenant) THEN
        RAISE EXCEPTION 'settlement person: nobody of this tenant gave this answer';
    END IF;
    SELECT * INTO gate FROM approvals_gate WHERE step_id = NEW.step_id;
    IF FOUND AND NOT approvals_is_member(gate, NEW.person_id) THEN
        RAISE EXCEPTION 'settlement eligibility: the person is not in the group %', gate.group;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_settlement_guard BEFORE INSERT ON runs_settlement
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_settlement();
"""
SETTLEMENT_UNDO = """
DROP TRIGGER approvals_settlement_guard ON runs_settlement;
DROP FUNCTION approvals_guard_settlement;
"""

SQL = (
    HMAC
    + GATE
    + DECISION
    + CLEARANCE
    + SPEND
    + append_only("approvals_decision", writer=False)
    + append_only("approvals_clearance", writer=False)
    + append_only("approvals_clearanceuse", writer=False)
)
UNDO = """
DROP TRIGGER approvals_spend ON runs_step;
ALTER TABLE runs_step DROP CONSTRAINT runs_step_clearance_is_its_own;
DROP TRIGGER approvals_decision_append_only ON approvals_decision;
DROP TRIGGER approvals_clearance_append_only ON approvals_clearance;
DROP TRIGGER approvals_clearanceuse_append_only ON approvals_clearanceuse;
DROP TRIGGER approvals_gate_birth ON approvals_gate;
DROP TRIGGER approvals_gate_guard ON approvals_gate;
DROP TRIGGER approvals_policy_guard ON approvals_policy;
DROP TRIGGER approvals_decision_guard ON approvals_decision;
DROP TRIGGER approvals_clearance_lock ON approvals_clearance;
DROP TRIGGER approvals_clearance_birth ON approvals_clearance;
DROP FUNCTION approvals_spend, approvals_guard_clearance, approvals_date_clearance,
    approvals_guard_decision, approvals_guard_policy, approvals_guard_gate,
    approvals_guard_new_gate, approvals_voices, approvals_is_member, approvals_is_sealed,
    approvals_requested_before, approvals_words, approvals_seal_of, placet_hmac_sha256;
"""

"""A gate asks about what its step does, and for what its policy asks for."""

GATE = """
CREATE FUNCTION approvals_may_match(asked jsonb, step runs_step, amount numeric, currency text)
    RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    -- What can be told from the step's bytes alone; the other conditions are the executor's to
    -- tell again, from the circumstances that were signed.
    RETURN (NOT asked ? 'tools' OR asked->'tools' ? step.name)
        AND (NOT asked ? 'amounts' OR EXISTS (
            SELECT FROM jsonb_array_elements(asked->'amounts') AS band
            WHERE band->>'currency' = currency AND amount > (band->>'above_minor')::numeric
              AND amount <= (band->>'up_to_minor')::numeric));
END $$;

CREATE FUNCTION approvals_guard_new_gate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    version approvals_policy;
    rules jsonb;
    asks jsonb;
    step runs_step;
    names jsonb;
    told jsonb;
    amount numeric;
    money text := '';
BEGIN
    SELECT * INTO version FROM approvals_policy
        WHERE id = NEW.policy_id AND tenant = NEW.tenant AND retired_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'gate policy: no policy in force stands behind this gate';
    END IF;
    SELECT * INTO step FROM runs_step WHERE id = NEW.step_id AND run_id = NEW.run_id;
    IF NOT FOUND OR step.status <> 'held' OR NOT step.needs_consent
        OR step.tenant <> NEW.tenant THEN
        RAISE EXCEPTION 'gate step: a gate opens for a held step that needs consent alone';
    END IF;
    -- What is paid is read from the bytes of the step, not from what the gatekeeper says.
    IF step.is_money THEN
        SELECT body->'money' INTO names FROM runs_declaration WHERE digest = step.declaration_id;
        told := convert_from(step.arguments, 'UTF8')::jsonb;
        amount := (told->>(names->>'amount'))::numeric;
        money := told->>(names->>'currency');
    END IF;
    IF (NEW.tool, NEW.amount_minor, NEW.currency) IS DISTINCT FROM (step.name, amount, money) THEN
        RAISE EXCEPTION 'gate money: the gate does not ask about what the step pays';
    END IF;
    rules := convert_from(version.document, 'UTF8')::jsonb->'rules';
    asks := rules->NEW.rule;
    IF asks IS NULL OR NEW.needs IS DISTINCT FROM asks->'then' OR NEW.needs ? 'block'
        OR NEW.rule_name IS DISTINCT FROM asks->>'name'
        OR NOT approvals_may_match(asks->'when', step, amount, money) THEN
        RAISE EXCEPTION 'gate rule: the gate does not ask for what its policy asks for';
    END IF;
    FOR earlier IN 0..NEW.rule - 1 LOOP
        IF (rules->earlier->'when') - ARRAY['tools', 'amounts'] = '{}'::jsonb
            AND approvals_may_match(rules->earlier->'when', step, amount, money) THEN
            RAISE EXCEPTION 'gate rule: an earlier rule of its policy decides about this';
        END IF;
    END LOOP;
    IF NEW.requester_id <> (SELECT requested_by_id FROM runs_run WHERE id = NEW.run_id) THEN
        RAISE EXCEPTION 'gate requester: the requester is who started the run';
    END IF;
    IF NEW.digest <> sha256('placet/approval/v2'::bytea || '\\x00'::bytea || NEW.envelope) THEN
        RAISE EXCEPTION 'gate digest: the digest is not that of the envelope';
    END IF;
    IF NEW.status <> 'open' OR NEW.expires_at > NEW.opened_at + interval '1 second'
        * coalesce((NEW.needs->'consent'->>'expires_after_seconds')::integer, 86400) THEN
        RAISE EXCEPTION 'gate birth: a gate begins open, and no longer than its policy says';
    END IF;
    -- Expiry, escalation and the moment of the facts are counted from here: neither a gate of
    -- yesterday, to which everybody may come at once, nor one of tomorrow, that never ends.
    IF NEW.opened_at NOT BETWEEN clock_timestamp() - interval '1 minute'
        AND clock_timestamp() + interval '1 minute' THEN
        RAISE EXCEPTION 'gate birth: a gate begins now, by the clock of the database';
    END IF;
    NEW := approvals_show_needs(NEW);
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_gate_birth BEFORE INSERT ON approvals_gate
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_new_gate();

CREATE FUNCTION approvals_show_needs(gate approvals_gate) RETURNS approvals_gate
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    consent jsonb := gate.needs->'consent';
BEGIN
    gate.tier := coalesce(consent->>'tier', 'confirm');
    gate.clears_at := NULL;
    SELECT coalesce(CASE WHEN consent->>'mode' = 'any' THEN min((t->>'count')::integer)
                         ELSE sum((t->>'count')::integer) END, 0),
           coalesce(array_agg(coalesce(t->>'group', 'role:' || (t->>'role'))), '{}')
        INTO gate.quorum, gate.groups FROM jsonb_array_elements(consent->'thresholds') AS t;
    gate.later_groups := ARRAY(
        SELECT jsonb_array_elements_text(consent->'escalation'->'groups')
        WHERE jsonb_typeof(consent->'escalation') = 'object');
    gate.escalates_at := gate.opened_at
        + interval '1 second' * (consent->'escalation'->>'after_seconds')::integer;
    RETURN gate;
END $$;

CREATE FUNCTION approvals_guard_gate() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    was approvals_gate := OLD;
BEGIN
    was.status := NEW.status;
    was.closed_at := NEW.closed_at;
    was.clears_at := NEW.clears_at;
    IF was IS DISTINCT FROM NEW THEN
        RAISE EXCEPTION 'gate bytes: what a gate asks about cannot be changed';
    END IF;
    -- An approval may be taken back until the step is claimed; nothing else is ever reopened.
    IF OLD.status <> 'open' AND NOT (OLD.status = 'approved' AND NEW.status = 'revoked') THEN
        RAISE EXCEPTION 'gate closed: a gate that is % stays so', OLD.status;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_gate_guard BEFORE UPDATE ON approvals_gate
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_gate();
"""

# A version of the policy: what the database can see that it must not be.
POLICY = """
CREATE FUNCTION approvals_guard_new_policy() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    rules jsonb := convert_from(NEW.document, 'UTF8')::jsonb->'rules';
BEGIN
    IF session_user <> 'placet_owner'
        AND NOT approvals_applies_bytes('publish_policy', NEW.tenant, NEW.document) THEN
        RAISE EXCEPTION 'policy change: two admins have not agreed to this';
    END IF;
    IF NEW.digest <> sha256('placet/policy/v1'::bytea || '\\x00'::bytea || NEW.document) THEN
        RAISE EXCEPTION 'policy digest: the digest is not that of the document';
    END IF;
    IF NEW.number <> 1 + coalesce(
        (SELECT max(number) FROM approvals_policy WHERE tenant = NEW.tenant), 0) THEN
        RAISE EXCEPTION 'policy number: versions are counted one by one';
    END IF;
    IF EXISTS (
        SELECT FROM jsonb_array_elements(rules) AS rule WHERE rule->'then' ? 'consent' AND (
            coalesce(jsonb_array_length(rule->'then'->'consent'->'thresholds'), 0) = 0
            OR EXISTS (
                SELECT FROM jsonb_array_elements(rule->'then'->'consent'->'thresholds') AS t
                WHERE coalesce((t->>'count')::integer, 0) < 1
                   OR num_nonnulls(t->>'group', t->>'role') <> 1))) THEN
        RAISE EXCEPTION 'policy quorum: a rule that asks for consent asks somebody';
    END IF;
    NEW.tools := ARRAY(
        SELECT DISTINCT jsonb_array_elements_text(rule->'when'->'tools')
        FROM jsonb_array_elements(rules) AS rule WHERE rule->'when' ? 'tools');
    NEW.published_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_policy_birth BEFORE INSERT ON approvals_policy
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_new_policy();

CREATE FUNCTION approvals_guard_policy() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    was approvals_policy := OLD;
BEGIN
    was.retired_at := NEW.retired_at;
    IF was IS DISTINCT FROM NEW OR OLD.retired_at IS NOT NULL THEN
        RAISE EXCEPTION 'policy bytes: a published version is retired, never edited';
    END IF;
    IF session_user <> 'placet_owner'
        AND NOT approvals_applies('publish_policy', NEW.tenant, '{}'::jsonb) THEN
        RAISE EXCEPTION 'policy change: two admins have not agreed to this';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_policy_guard BEFORE UPDATE ON approvals_policy
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_policy();

CREATE FUNCTION approvals_hold() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Whatever tool the policy names waits for people, also where it moves no money.
    IF NEW.status = 'ready' AND EXISTS (
        SELECT FROM approvals_policy WHERE tenant = NEW.tenant AND retired_at IS NULL
            AND NEW.name = ANY(tools)) THEN
        NEW.needs_consent := true;
        NEW.status := 'held';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_hold BEFORE INSERT ON runs_step
    FOR EACH ROW WHEN (NEW.is_remote) EXECUTE FUNCTION approvals_hold();
"""

"""A gate asks about what its step pays, and for what its policy asks for."""

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

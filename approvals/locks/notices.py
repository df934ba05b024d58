"""What is told is told once and never rewritten; a comment is of somebody who was signed in."""

from runs.guards import append_only

NOTICE = (
    """
CREATE FUNCTION approvals_guard_comment() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    NEW.said_at := clock_timestamp();
    NEW.writer := session_user;
    IF NOT EXISTS (SELECT FROM approvals_gate WHERE id = NEW.gate_id AND tenant = NEW.tenant)
        OR NOT EXISTS (SELECT FROM console_user
            WHERE id = NEW.person_id AND tenant = NEW.tenant AND is_active) THEN
        RAISE EXCEPTION 'comment gate: there is no such gate for this person';
    END IF;
    IF NEW.text !~ '[^[:space:]]' THEN
        RAISE EXCEPTION 'comment text: there is nothing in it';
    END IF;
    IF (NEW.seal = approvals_seal_of(
            'placet/comment/v1',
            NEW.id || '|' || NEW.gate_id || '|' || NEW.person_id || '|'
                || approvals_words(NEW.text),
            ''::bytea)) IS NOT TRUE THEN
        RAISE EXCEPTION 'comment seal: nobody who was signed in said this';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_comment_guard BEFORE INSERT ON approvals_comment
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_comment();

CREATE FUNCTION approvals_stamp_notice() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.written_at := clock_timestamp();
    NEW.writer := session_user;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_notice_stamp BEFORE INSERT ON approvals_notice
    FOR EACH ROW EXECUTE FUNCTION approvals_stamp_notice();

-- What a person's list and a channel's ask for.
CREATE INDEX approvals_notice_people ON approvals_notice USING gin (people jsonb_path_ops);
CREATE INDEX approvals_notice_channels ON approvals_notice USING gin (channels jsonb_path_ops);
-- What a sweep looks over: gates and verdicts of the last days.
CREATE INDEX approvals_gate_opened_at ON approvals_gate (opened_at) WHERE status = 'open';
CREATE INDEX approvals_gate_closed_at ON approvals_gate (closed_at) WHERE status <> 'open';
"""
    + append_only("approvals_comment", writer=False)
    + append_only("approvals_notice", writer=False)
)
NOTICE_UNDO = """
DROP INDEX approvals_gate_opened_at, approvals_gate_closed_at, approvals_notice_people,
    approvals_notice_channels;
DROP TRIGGER approvals_comment_append_only ON approvals_comment;
DROP TRIGGER approvals_notice_append_only ON approvals_notice;
DROP TRIGGER approvals_comment_guard ON approvals_comment;
DROP TRIGGER approvals_notice_stamp ON approvals_notice;
DROP FUNCTION approvals_guard_comment, approvals_stamp_notice;
"""

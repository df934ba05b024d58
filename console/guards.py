"""What the database itself refuses about the console's rows: the SQL of migration 0003."""

from __future__ import annotations

SQL = """
CREATE FUNCTION console_stamp_audit() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    NEW.at := clock_timestamp();
    NEW.writer := session_user;
    RETURN NEW;
END $$;
CREATE TRIGGER console_auditentry_stamp BEFORE INSERT ON console_auditentry
    FOR EACH ROW EXECUTE FUNCTION console_stamp_audit();

CREATE FUNCTION console_guard_token() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'token revoked: a token that was revoked stays so';
END $$;
CREATE TRIGGER console_apitoken_revoked BEFORE UPDATE ON console_apitoken FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    EXECUTE FUNCTION console_guard_token();
"""
UNDO = """
DROP TRIGGER console_auditentry_stamp ON console_auditentry;
DROP TRIGGER console_apitoken_revoked ON console_apitoken;
DROP FUNCTION console_stamp_audit, console_guard_token;
"""

"""Since when somebody has a role: a date that the database puts beside it, whoever gives it.

Django keeps who is in which of its groups in a table of its own, without a date. The column is
that of the very row, so that a role has no date of its own to be written, goes with its date, and
begins anew when it is given again.
"""

from __future__ import annotations

# Who had a role before the column counts since they were added: gates are open meanwhile.
COLUMN = """
ALTER TABLE console_user_groups
    ADD COLUMN since timestamptz NOT NULL DEFAULT clock_timestamp();
UPDATE console_user_groups m SET since = least(m.since, u.date_joined)
    FROM console_user u WHERE u.id = m.user_id;
"""

DATES = """
CREATE FUNCTION approvals_date_role() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    -- Whatever the writer says, and whatever the row said before.
    NEW.since := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_role_date BEFORE INSERT OR UPDATE ON console_user_groups
    FOR EACH ROW EXECUTE FUNCTION approvals_date_role();

CREATE FUNCTION approvals_date_roles_anew() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    -- Under its new name it is another role, which nobody had before.
    UPDATE console_user_groups SET since = DEFAULT WHERE group_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_role_renamed AFTER UPDATE OF name ON auth_group
    FOR EACH ROW WHEN (NEW.name IS DISTINCT FROM OLD.name)
    EXECUTE FUNCTION approvals_date_roles_anew();

CREATE FUNCTION approvals_held_role(
    person bigint, of_tenant text, role text, latest timestamptz
) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Whether they have it now, and without a break since this moment at the latest.
    RETURN EXISTS (
        SELECT FROM console_user u
        JOIN console_user_groups m ON m.user_id = u.id JOIN auth_group g ON g.id = m.group_id
        WHERE u.id = person AND u.tenant = of_tenant AND u.is_active
          AND g.name = role AND m.since <= latest);
END $$;
"""

# Asked by web and gatekeeper: whom a page names, and whom a notice concerns.
ASKED = """
CREATE FUNCTION approvals_asked(of_gate uuid) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Everybody whom the thresholds of a gate ask; who requested it may be among them.
    RETURN QUERY
        SELECT u.id FROM approvals_gate g JOIN console_user u ON u.tenant = g.tenant
        WHERE g.id = of_gate AND u.is_active AND EXISTS (
            SELECT FROM jsonb_array_elements(g.needs->'consent'->'thresholds') AS threshold
            WHERE approvals_belongs(g, threshold, u.id));
END $$;
"""

ROLES = COLUMN + DATES + ASKED
ROLES_UNDO = """
DROP FUNCTION approvals_asked, approvals_held_role, approvals_date_roles_anew,
    approvals_date_role CASCADE;
ALTER TABLE console_user_groups DROP COLUMN since;
"""

-- Privileges on settings, from 15 on (PostgreSQL manual, 52.36).
SELECT
    t.parname, {acl t.paracl}
FROM pg_catalog.pg_parameter_acl AS t
WHERE true

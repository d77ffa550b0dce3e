-- Roles as everybody may see them, without a trace of their passwords (PostgreSQL manual, 53.20).
SELECT
    t.rolname, t.rolsuper, t.rolinherit, t.rolcreaterole, t.rolcreatedb, t.rolcanlogin, t.rolreplication, t.rolbypassrls,
    t.rolconnlimit,
    CASE WHEN pg_catalog.isfinite(t.rolvaliduntil)
        THEN pg_catalog.to_char(t.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'
        ELSE t.rolvaliduntil::pg_catalog.text END,
    NULL
FROM pg_catalog.pg_roles AS t
WHERE true

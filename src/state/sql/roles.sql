-- Roles, with a hash in the place of what the server stores of a password (PostgreSQL manual, 52.8).
SELECT
    t.rolname, t.rolsuper, t.rolinherit, t.rolcreaterole, t.rolcreatedb, t.rolcanlogin, t.rolreplication, t.rolbypassrls,
    t.rolconnlimit,
    CASE WHEN pg_catalog.isfinite(t.rolvaliduntil)
        THEN pg_catalog.to_char(t.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'
        ELSE t.rolvaliduntil::pg_catalog.text END,
    CASE WHEN t.rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram-sha-256 ' WHEN t.rolpassword LIKE 'md5%' THEN 'md5 ' ELSE 'plain ' END
        || pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(t.rolpassword, 'UTF8')), 'hex')
FROM pg_catalog.pg_authid AS t
WHERE true

-- Languages (PostgreSQL manual, 52.29).
SELECT
    t.lanname, t.lanowner, t.lanpltrusted, {acl t.lanacl}
FROM pg_catalog.pg_language AS t
WHERE true

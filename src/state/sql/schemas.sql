-- Schemas, but for those of temporary objects (PostgreSQL manual, 52.32).
SELECT
    t.nspname, t.nspowner, {acl t.nspacl}
FROM pg_catalog.pg_namespace AS t
WHERE t.nspname !~ '^pg_(toast_)?temp_'

-- Tablespaces (PostgreSQL manual, 52.56).
SELECT
    t.spcname, t.spcowner, pg_catalog.array_to_json(t.spcoptions), {acl t.spcacl}
FROM pg_catalog.pg_tablespace AS t
WHERE true

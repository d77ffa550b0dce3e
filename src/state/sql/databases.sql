-- Databases (PostgreSQL manual, 52.15).
SELECT
    t.datname, t.datdba, t.datallowconn, t.datconnlimit, t.datistemplate, t.dattablespace, {acl t.datacl}
FROM pg_catalog.pg_database AS t
WHERE true

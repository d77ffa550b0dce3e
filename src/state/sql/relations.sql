-- Tables, views, sequences, indexes and standalone types with columns (PostgreSQL manual, 52.11). The schema 99 is
-- pg_toast; temporary ones are told apart with what is left running.
SELECT
    t.relname, t.relnamespace, t.relkind, t.relowner, t.relpersistence, t.relrowsecurity, t.relforcerowsecurity,
    t.relispartition, pg_catalog.hashtextextended(t.relpartbound::pg_catalog.text, 0), t.relreplident,
    pg_catalog.array_to_json(t.reloptions), t.reltablespace, t.relam, t.relispopulated, {acl t.relacl}
FROM pg_catalog.pg_class AS t
WHERE t.relpersistence <> 't' AND t.relnamespace <> 99

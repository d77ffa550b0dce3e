-- Constraints of tables and domains (PostgreSQL manual, 52.13).
SELECT
    t.conname, t.connamespace, t.contype, t.conrelid, t.contypid, t.conindid, t.conparentid, t.confrelid, t.condeferrable,
    t.condeferred, t.convalidated,
    t.conenforced, -- 18+
    true, -- <18
    pg_catalog.hashtextextended(ROW(t.conkey, t.confkey, t.confupdtype, t.confdeltype, t.confmatchtype,
        t.connoinherit, t.conexclop, t.conbin)::pg_catalog.text, 0)
FROM pg_catalog.pg_constraint AS t
WHERE t.oid >= 16384

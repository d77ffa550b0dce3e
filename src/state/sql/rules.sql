-- Rules, among them the queries of views (PostgreSQL manual, 52.45).
SELECT
    t.rulename, t.ev_class, t.ev_type, t.ev_enabled, t.is_instead,
    pg_catalog.hashtextextended(ROW(t.ev_qual, t.ev_action)::pg_catalog.text, 0)
FROM pg_catalog.pg_rewrite AS t
WHERE t.oid >= 16384

-- Rows and sizes of each table, as VACUUM, ANALYZE and the cumulative statistics know them (PostgreSQL manual, 53.11
-- and 28.2): nothing is counted, no table is opened, no lock is taken.
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) ORDER BY t.schema, t.name), '[]')
FROM (
  SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'm' AS materialized_view,
    CASE WHEN c.reltuples > 0 OR (c.reltuples = 0 AND c.relpages > 0) THEN c.reltuples::bigint
         ELSE nullif(pg_catalog.pg_stat_get_live_tuples(c.oid), 0) END AS rows,
    greatest(c.relpages, 0)::bigint * b.size AS table_bytes,
    (greatest(c.relpages, 0) + coalesce(i.pages, 0) + coalesce(toast.relpages, 0) + coalesce(ti.pages, 0)) * b.size AS total_bytes
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN (SELECT pg_catalog.current_setting('block_size')::bigint AS size) b
  LEFT JOIN pg_catalog.pg_class toast ON toast.oid = c.reltoastrelid
  LEFT JOIN LATERAL (
    SELECT pg_catalog.sum(ic.relpages)::bigint AS pages
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid WHERE x.indrelid = c.oid) i ON true
  LEFT JOIN LATERAL (
    SELECT pg_catalog.sum(ic.relpages)::bigint AS pages
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid WHERE x.indrelid = toast.oid) ti ON true
  WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
) t;

-- The planner's statistics as statements that PostgreSQL 18 and newer restore them with (PostgreSQL manual, 9.28.11):
-- sizes, and of each column the share of NULLs, the width, the number of distinct values and the correlation. Its most
-- common values and its histogram are values of rows, and stay where they are.
SELECT coalesce(pg_catalog.jsonb_agg(s.statement ORDER BY s.schema, s.name, s.at, s.inherited), '[]')
FROM (
  SELECT n.nspname AS schema, c.relname AS name, 0 AS at, false AS inherited, pg_catalog.format(
    'SELECT pg_catalog.pg_restore_relation_stats(''version'', %s, ''schemaname'', %L, ''relname'', %L, '
    '''relpages'', %s, ''reltuples'', %L::real, ''relallvisible'', %s);',
    pg_catalog.current_setting('server_version_num'), n.nspname, c.relname, c.relpages, c.reltuples, c.relallvisible)
    AS statement
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
  UNION ALL
  SELECT s.schemaname, s.tablename, a.attnum, s.inherited, pg_catalog.format(
    'SELECT pg_catalog.pg_restore_attribute_stats(''version'', %s, ''schemaname'', %L, ''relname'', %L, ''attname'', %L, '
    '''inherited'', %L::boolean, ''null_frac'', %L::real, ''avg_width'', %s, ''n_distinct'', %L::real%s);',
    pg_catalog.current_setting('server_version_num'), s.schemaname, s.tablename, s.attname, s.inherited, s.null_frac,
    s.avg_width, s.n_distinct,
    CASE WHEN s.correlation IS NOT NULL THEN pg_catalog.format(', ''correlation'', %L::real', s.correlation) END)
  FROM pg_catalog.pg_stats s
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.schemaname
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename AND c.relkind IN ('r', 'm', 'p')
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
  WHERE s.schemaname !~ '^pg_' AND s.schemaname <> 'information_schema'
    AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
) s;

-- The statements that pg_stat_statements has of this database (PostgreSQL manual, F.32). Its columns have other names
-- in older versions, so that whole rows are read. Found as a member of its extension: a view of that name may be
-- anybody's.
SELECT pg_catalog.count(*) FILTER (WHERE c.relname = 'pg_stat_statements') > 0 AS has_statements,
  pg_catalog.count(*) FILTER (WHERE c.relname = 'pg_stat_statements_info') > 0 AS has_info,
  pg_catalog.min(n.nspname) AS its_schema
FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
  AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
JOIN pg_catalog.pg_class c ON c.oid = d.objid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE e.extname = 'pg_stat_statements'
\gset
\if :has_info
SELECT pg_catalog.to_char(stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
FROM :"its_schema".pg_stat_statements_info
\gset
\else
\set since ''
\endif
\if :has_statements
SELECT pg_catalog.jsonb_build_object(
  'since', nullif(:'since', ''),
  'rows', coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s) || pg_catalog.jsonb_build_object('role', r.rolname)), '[]'))
FROM :"its_schema".pg_stat_statements s
JOIN pg_catalog.pg_roles r ON r.oid = s.userid
JOIN pg_catalog.pg_database d ON d.oid = s.dbid
WHERE d.datname = pg_catalog.current_database();
\else
SELECT 'null';
\endif

-- The jobs that pg_cron and pgAgent have for this database, found as members of their extensions: a table of that name may
-- be anybody's. Their columns differ from version to version, so that whole rows are read. Both keep SQL in them, which is
-- what the jobs do, and no result of it.
SELECT
  coalesce(pg_catalog.bool_or(e.extname = 'pg_cron' AND c.relname = 'job'), false) AS has_cron,
  coalesce(pg_catalog.bool_or(e.extname = 'pgagent' AND c.relname = 'pga_jobstep'), false) AS has_agent,
  coalesce(pg_catalog.min(n.nspname) FILTER (WHERE e.extname = 'pg_cron'), '') AS cron_schema,
  coalesce(pg_catalog.min(n.nspname) FILTER (WHERE e.extname = 'pgagent'), '') AS agent_schema
FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
  AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
JOIN pg_catalog.pg_class c ON c.oid = d.objid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE e.extname IN ('pg_cron', 'pgagent') AND c.relname IN ('job', 'pga_jobstep')
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
\gset
\if :has_cron
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(j) ORDER BY j.jobid), '[]')
FROM :"cron_schema".job j
WHERE j.database = pg_catalog.current_database();
\else
SELECT '[]';
\endif
\if :has_agent
-- pgAgent does the steps of its own database as the role that it is connected as.
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s) || pg_catalog.jsonb_build_object(
  'jobname', j.jobname, 'jobenabled', j.jobenabled,
  'agent', (SELECT pg_catalog.min(a.usename) FROM pg_catalog.pg_stat_activity a WHERE a.application_name ILIKE 'pgagent%'))
  ORDER BY s.jstjobid, s.jstname), '[]')
FROM :"agent_schema".pga_jobstep s
JOIN :"agent_schema".pga_job j ON j.jobid = s.jstjobid
WHERE s.jstkind = 's' AND coalesce(nullif(s.jstdbname, ''), pg_catalog.current_database()) = pg_catalog.current_database();
\else
SELECT '[]';
\endif

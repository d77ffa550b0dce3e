-- A role that logs in and a table that it reads, for the example of a worker; null where there is none.
SELECT coalesce((
  SELECT pg_catalog.jsonb_build_object('role', r.rolname, 'table', pg_catalog.format('%I.%I', t.nspname, t.relname))
  FROM (
    SELECT oid, rolname, rolcreatedb OR rolcreaterole OR rolbypassrls AS manages FROM pg_catalog.pg_roles
    WHERE rolcanlogin AND NOT rolsuper AND rolname !~ '^pg_' AND rolname <> current_user
    ORDER BY rolname LIMIT 100) r
  CROSS JOIN (
    SELECT c.oid, c.relname, n.nspname, n.oid AS schema
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
    ORDER BY n.nspname, c.relname LIMIT 200) t
  WHERE pg_catalog.has_schema_privilege(r.oid, t.schema, 'USAGE')
    AND pg_catalog.has_table_privilege(r.oid, t.oid, 'SELECT')
    AND pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')
  ORDER BY r.manages, r.rolname, t.nspname, t.relname LIMIT 1), 'null'::pg_catalog.jsonb);

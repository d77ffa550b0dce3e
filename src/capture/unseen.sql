-- What pg_dump cannot dump for this role: tables that it may not lock, for which it needs SELECT on them and USAGE on
-- their schema (PostgreSQL manual, LOCK), and everything that depends on them and could not be restored without.
-- pg_dump locks no table of an extension.
WITH RECURSIVE unreadable AS (
  SELECT c.oid, n.nspname AS schema, c.relname AS name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))
    AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
), gone (classid, objid) AS (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, oid FROM unreadable
  UNION
  SELECT n.classid, n.objid
  FROM gone g CROSS JOIN LATERAL (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d
    WHERE d.refclassid = g.classid AND d.refobjid = g.objid AND d.deptype IN ('n', 'a', 'i', 'P', 'S')
    -- A view is its rule; a column's default and a check stand in the table itself.
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class FROM pg_catalog.pg_rewrite r
    WHERE g.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = g.objid AND r.rulename = '_RETURN'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, a.adrelid FROM pg_catalog.pg_attrdef a
    WHERE g.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = g.objid
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, o.conrelid FROM pg_catalog.pg_constraint o
    WHERE g.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = g.objid
      AND o.contype = 'c' AND o.conrelid <> 0
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, o.contypid FROM pg_catalog.pg_constraint o
    WHERE g.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = g.objid AND o.contypid <> 0
  ) n
), named AS (
  SELECT c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AS is_relation, n.nspname AS schema, c.relname::text AS name
  FROM gone g JOIN pg_catalog.pg_class c ON g.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = g.objid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  UNION ALL
  SELECT false, n.nspname, t.typname
  FROM gone g JOIN pg_catalog.pg_type t ON g.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = g.objid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  UNION ALL
  -- As pg_dump writes it (format_function_signature in its pg_dump.c).
  SELECT false, n.nspname, p.proname || '(' || coalesce((
      SELECT pg_catalog.string_agg(pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.at)
      FROM pg_catalog.unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, at)), '') || ')'
  FROM gone g JOIN pg_catalog.pg_proc p ON g.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = g.objid
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  UNION ALL
  SELECT false, n.nspname, s.stxname
  FROM gone g
  JOIN pg_catalog.pg_statistic_ext s
    ON g.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND s.oid = g.objid
  JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
  UNION ALL
  SELECT false, n.nspname, pub.pubname || ' ' || c.relname
  FROM gone g
  JOIN pg_catalog.pg_publication_rel r
    ON g.classid = 'pg_catalog.pg_publication_rel'::pg_catalog.regclass AND r.oid = g.objid
  JOIN pg_catalog.pg_publication pub ON pub.oid = r.prpubid
  JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  UNION ALL
  -- What belongs to a table has the table's name before its own.
  SELECT false, n.nspname, c.relname || ' ' || part.name
  FROM (
    SELECT o.conrelid AS table, o.conname AS name
    FROM gone g JOIN pg_catalog.pg_constraint o
      ON g.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = g.objid AND o.conrelid <> 0
    UNION ALL
    SELECT t.tgrelid, t.tgname
    FROM gone g JOIN pg_catalog.pg_trigger t
      ON g.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = g.objid
    UNION ALL
    SELECT p.polrelid, p.polname
    FROM gone g JOIN pg_catalog.pg_policy p
      ON g.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND p.oid = g.objid
    UNION ALL
    SELECT r.ev_class, r.rulename
    FROM gone g JOIN pg_catalog.pg_rewrite r
      ON g.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = g.objid
  ) part JOIN pg_catalog.pg_class c ON c.oid = part.table JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
)
SELECT pg_catalog.jsonb_build_object(
  'tables', (
    SELECT coalesce(pg_catalog.jsonb_agg(
      pg_catalog.jsonb_build_object('schema', schema, 'name', name) ORDER BY schema, name), '[]') FROM unreadable),
  'relations', coalesce((
    SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_object('schema', schema, 'name', name))
    FROM named WHERE is_relation), '[]'),
  'objects', coalesce((
    SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_object('schema', schema, 'name', name))
    FROM named WHERE NOT is_relation), '[]')
);

-- What each of them may do with each relation. Partitions are reached through their table, unless they were granted.
SELECT
    l.name AS role, s.name AS schema, c.relname AS name, c.relkind::pg_catalog.text AS kind,
    held.privileges,
    EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.confrelid = c.oid AND k.contype = 'f') AS referenced
FROM pg_catalog.pg_class AS c
JOIN pg_temp.schemas AS s ON s.oid = c.relnamespace
CROSS JOIN pg_temp.logins AS l
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(p.name ORDER BY p.place) AS privileges
    FROM pg_catalog.unnest(
        CASE WHEN c.relkind = 'S' THEN '{USAGE,SELECT,UPDATE}'::pg_catalog.text[] ELSE $1 END
    ) WITH ORDINALITY AS p (name, place)
    WHERE CASE
        WHEN l.super AND c.relowner <> l.oid THEN EXISTS (
            SELECT FROM pg_catalog.aclexplode(c.relacl) AS a
            WHERE a.grantee = l.oid AND a.privilege_type = p.name)
        WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(l.oid, c.oid, p.name)
        ELSE pg_catalog.has_table_privilege(l.oid, c.oid, p.name)
    END
) AS held
WHERE c.oid >= 16384
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND c.relpersistence <> 't'
  AND NOT (c.relispartition AND c.relacl IS NULL)
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND held.privileges IS NOT NULL
ORDER BY l.name, s.name, c.relname

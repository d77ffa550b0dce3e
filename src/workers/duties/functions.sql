-- The functions and procedures that each of them may call; aggregates and what only the server calls are not.
SELECT
    l.name AS role, s.name AS schema, f.proname AS name, f.prokind = 'p' AS procedure,
    f.provolatile = 'v' AS volatile, f.provariadic <> 0 AS variadic,
    f.oid::pg_catalog.regprocedure::pg_catalog.text AS signature,
    ARRAY(
        SELECT pg_catalog.format_type(t.oid, NULL)
        FROM pg_catalog.unnest(f.proargtypes) WITH ORDINALITY AS t (oid, place) ORDER BY t.place
    ) AS types
FROM pg_catalog.pg_proc AS f
JOIN pg_temp.schemas AS s ON s.oid = f.pronamespace
CROSS JOIN pg_temp.logins AS l
WHERE f.oid >= 16384 AND f.prokind IN ('f', 'p')
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_type AS t
      WHERE t.oid = ANY (f.proargtypes || f.prorettype) AND t.typtype = 'p'
        AND t.typname NOT IN ('void', 'record', 'anyelement', 'anyarray', 'any'))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = f.oid AND d.deptype = 'e')
  AND CASE
      WHEN l.super AND f.proowner <> l.oid THEN EXISTS (
          SELECT FROM pg_catalog.aclexplode(f.proacl) AS a WHERE a.grantee = l.oid)
      ELSE pg_catalog.has_function_privilege(l.oid, f.oid, 'EXECUTE')
  END
ORDER BY l.name, s.name, f.proname, signature

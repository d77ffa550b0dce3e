-- What each of them may do with single columns and not with the whole relation.
SELECT
    l.name AS role, s.name AS schema, c.relname AS name, c.relkind::pg_catalog.text AS kind, p.name AS privilege,
    pg_catalog.array_agg(a.attname ORDER BY a.attnum) AS columns
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_temp.schemas AS s ON s.oid = c.relnamespace
CROSS JOIN pg_temp.logins AS l
CROSS JOIN pg_catalog.unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::pg_catalog.text[]) WITH ORDINALITY AS p (name, place)
WHERE a.attacl IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped AND NOT l.super
  AND pg_catalog.has_column_privilege(l.oid, c.oid, a.attnum, p.name)
  AND NOT pg_catalog.has_table_privilege(l.oid, c.oid, p.name)
GROUP BY l.name, s.name, c.relname, c.relkind, p.name, p.place
ORDER BY l.name, s.name, c.relname, p.place

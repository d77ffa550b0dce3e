-- The columns of relations, in their order, those of the primary key first.
SELECT
    s.name AS schema, c.relname AS relation, a.attname AS name,
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required,
    a.attgenerated = '' AND a.attidentity <> 'a' AS writable
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_temp.schemas AS s ON s.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY s.name, c.relname, a.attnum = ANY (i.indkey) IS NOT TRUE, a.attnum

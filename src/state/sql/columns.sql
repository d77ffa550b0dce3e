-- Columns of what is neither a system catalog nor an index, and system columns with privileges of their own (PostgreSQL manual, 52.7).
SELECT
    t.attname, t.atttypid, t.atttypmod, t.attnotnull, t.atthasdef, t.attgenerated, t.attidentity, t.attcollation,
    t.attisdropped, t.attinhcount, {acl t.attacl}
FROM pg_catalog.pg_attribute AS t
WHERE t.attnum > 0 AND (t.attrelid >= 16384 OR t.attacl IS NOT NULL)
    AND EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.attrelid
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't')

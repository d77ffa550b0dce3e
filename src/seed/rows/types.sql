-- Every type that a column of a user's table is made of, down to its elements.
WITH RECURSIVE used (oid) AS (
    SELECT a.atttypid
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION
    SELECT part.oid
    FROM used
    JOIN pg_catalog.pg_type AS t ON t.oid = used.oid
    CROSS JOIN LATERAL (
        SELECT t.typbasetype AS oid
        UNION ALL SELECT t.typelem
        UNION ALL
        SELECT r.rngsubtype FROM pg_catalog.pg_range AS r
        WHERE r.rngtypid = t.oid
           OR (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS part
    WHERE part.oid <> 0
)
SELECT pg_catalog.row_to_json(x)::pg_catalog.text
FROM (
    SELECT
        t.oid::pg_catalog.int8 AS oid,
        t.typname AS name,
        t.typtype AS kind,
        t.typcategory AS category,
        t.typelem::pg_catalog.int8 AS element,
        t.typbasetype::pg_catalog.int8 AS base,
        t.typtypmod AS modifier,
        t.typnotnull AS not_null,
        COALESCE((
            SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
            FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid
        ), '[]'::pg_catalog.json) AS labels,
        (SELECT r.rngsubtype::pg_catalog.int8 FROM pg_catalog.pg_range AS r
         WHERE r.rngtypid = t.oid
            OR (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid) AS subtype,
        COALESCE((
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                'type_oid', a.atttypid::pg_catalog.int8, 'modifier', a.atttypmod) ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        ), '[]'::pg_catalog.json) AS fields,
        COALESCE((
            SELECT pg_catalog.json_agg(pg_catalog.pg_get_expr(k.conbin, 0) ORDER BY k.conname)
            FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'
        ), '[]'::pg_catalog.json) AS checks
    FROM (SELECT DISTINCT used.oid FROM used) AS u
    JOIN pg_catalog.pg_type AS t ON t.oid = u.oid
) AS x

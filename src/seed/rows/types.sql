-- Types by their numbers, and those that these are made of at first sight, one JSON text each.
SELECT pg_catalog.row_to_json(x)::pg_catalog.text
FROM (
    SELECT
        t.oid::pg_catalog.int8 AS oid,
        t.typname AS name,
        t.typtype AS kind,
        t.typcategory AS category,
        t.typelem::pg_catalog.int8 AS element,
        t.typbasetype::pg_catalog.int8 AS base,
        CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, NULL) END AS base_name,
        t.typtypmod AS modifier,
        t.typnotnull AS not_null,
        COALESCE((
            SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
            FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid
        ), '[]'::pg_catalog.json) AS labels,
        (SELECT r.rngsubtype::pg_catalog.int8 FROM pg_catalog.pg_range AS r
         WHERE t.typtype = 'r' AND r.rngtypid = t.oid
            OR t.typtype = 'm' AND (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid) AS subtype,
        COALESCE((
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                'type_oid', a.atttypid::pg_catalog.int8, 'modifier', a.atttypmod) ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        ), '[]'::pg_catalog.json) AS fields,
        COALESCE((
            SELECT pg_catalog.json_agg(pg_catalog.pg_get_expr(k.conbin, 0) ORDER BY k.conname)
            FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'
        ), '[]'::pg_catalog.json) AS checks,
        COALESCE((
            SELECT pg_catalog.json_agg(k.conname ORDER BY k.conname)
            FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid AND k.contype = 'c'
        ), '[]'::pg_catalog.json) AS check_names
    FROM pg_catalog.pg_type AS t
    WHERE t.oid IN (
        SELECT part.oid
        FROM pg_catalog.pg_type AS u
        CROSS JOIN LATERAL (VALUES (u.oid), (u.typelem), (u.typbasetype)) AS part (oid)
        WHERE u.oid = ANY ('{OIDS}'::pg_catalog.oid[]))
) AS x

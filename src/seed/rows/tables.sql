-- Every table that rows can be put into, with its columns and constraints, one JSON text each.
SELECT pg_catalog.row_to_json(t)::pg_catalog.text
FROM (
    SELECT
        c.oid::pg_catalog.int8 AS oid,
        n.nspname AS schema,
        c.relname AS name,
        c.relkind = 'p' AS partitioned,
        CASE WHEN c.relkind = 'p' THEN EXISTS (
            SELECT FROM pg_catalog.pg_partition_tree(c.oid) AS part
            WHERE part.isleaf AND part.relid <> c.oid
              AND pg_catalog.pg_relation_size(part.relid) > 0)
        ELSE pg_catalog.pg_relation_size(c.oid) > 0 END AS occupied,
        COALESCE((
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                'number', a.attnum,
                'name', a.attname,
                'type_oid', a.atttypid::pg_catalog.int8,
                'modifier', a.atttypmod,
                'not_null', a.attnotnull,
                'generated', a.attgenerated <> '',
                'default', pg_catalog.pg_get_expr(ad.adbin, ad.adrelid),
                'sequences', COALESCE((
                    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                        'oid', s.seqrelid::pg_catalog.int8,
                        'start', s.seqstart, 'increment', s.seqincrement,
                        'min', s.seqmin, 'max', s.seqmax,
                        'last', pg_catalog.pg_sequence_last_value(s.seqrelid)) ORDER BY s.seqrelid)
                    FROM (
                        SELECT d.objid AS oid
                        FROM pg_catalog.pg_depend AS d
                        WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND d.refobjid = c.oid AND d.refobjsubid = a.attnum
                          AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND d.deptype IN ('a', 'i')
                        UNION
                        SELECT d.refobjid
                        FROM pg_catalog.pg_depend AS d
                        WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
                          AND d.objid = ad.oid
                          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) AS q
                    JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = q.oid), '[]'::pg_catalog.json))
                ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a
            LEFT JOIN pg_catalog.pg_attrdef AS ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ), '[]'::pg_catalog.json) AS columns,
        COALESCE((
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                'name', x.relname,
                'columns', (
                    SELECT pg_catalog.json_agg(u.k ORDER BY u.at)
                    FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS u (k, at)
                    WHERE u.at <= i.indnkeyatts),
                'expressions', pg_catalog.pg_get_expr(i.indexprs, i.indrelid),
                'predicate', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
                'nulls_equal', COALESCE(
                    (pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool, false))
                ORDER BY NOT i.indisprimary, x.relname)
            FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
            WHERE i.indrelid = c.oid AND i.indisunique
        ), '[]'::pg_catalog.json) AS uniques,
        COALESCE((
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                'name', k.conname,
                'columns', (
                    SELECT pg_catalog.json_agg(own.attname ORDER BY u.at)
                    FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (n, at)
                    JOIN pg_catalog.pg_attribute AS own ON own.attrelid = k.conrelid AND own.attnum = u.n),
                'target', k.confrelid::pg_catalog.int8,
                'target_name', k.confrelid::pg_catalog.regclass::pg_catalog.text,
                'target_columns', k.confkey,
                'full', k.confmatchtype = 'f')
                ORDER BY k.conname)
            FROM pg_catalog.pg_constraint AS k
            WHERE k.contype = 'f' AND k.conparentid = 0
              AND (k.conrelid = c.oid OR (c.relkind = 'p' AND k.conrelid IN (
                  SELECT part.relid FROM pg_catalog.pg_partition_tree(c.oid) AS part)))
        ), '[]'::pg_catalog.json) AS foreign_keys,
        COALESCE((
            SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                'name', k.conname,
                'expression', pg_catalog.pg_get_expr(k.conbin, k.conrelid)) ORDER BY k.conname)
            FROM pg_catalog.pg_constraint AS k
            WHERE k.contype = 'c' AND k.conrelid = c.oid
        ), '[]'::pg_catalog.json) AS checks
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
      AND NOT c.relispartition
      AND c.relpersistence <> 't'
      AND n.nspname !~ '^pg_'
      AND n.nspname <> 'information_schema'
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY n.nspname, c.relname
) AS t

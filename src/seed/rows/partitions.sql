-- Every node below the partitioned tables: its bound, and how it is itself partitioned.
SELECT pg_catalog.row_to_json(x)::pg_catalog.text
FROM (
    SELECT
        root.oid::pg_catalog.int8 AS root,
        node.relid::pg_catalog.oid::pg_catalog.int8 AS node,
        node.parentrelid::pg_catalog.oid::pg_catalog.int8 AS parent,
        node.isleaf AS leaf,
        c.relkind = 'f' AS elsewhere,
        pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound,
        p.partstrat AS strategy,
        COALESCE((
            SELECT pg_catalog.json_agg(a.attname ORDER BY u.at)
            FROM pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) WITH ORDINALITY AS u (n, at)
            LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.n AND u.n > 0
        ), '[]'::pg_catalog.json) AS keys
    FROM pg_catalog.pg_class AS root
    CROSS JOIN LATERAL pg_catalog.pg_partition_tree(root.oid) AS node
    JOIN pg_catalog.pg_class AS c ON c.oid = node.relid
    LEFT JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid = c.oid
    WHERE root.relkind = 'p' AND NOT root.relispartition
    ORDER BY node.level, c.relname
) AS x

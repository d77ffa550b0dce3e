-- What the catalogs say of the tables that rows can be put into: plain scans, asked in one message and joined by who
-- asks. The server plans each of them in a fraction of what one query for everything takes, which is what a clone with
-- few rows would mostly wait for. Nothing that a user makes has a number below 16384 (PostgreSQL's source,
-- FirstNormalObjectId).

-- Schemas of users.
SELECT n.oid, n.nspname
FROM pg_catalog.pg_namespace AS n
WHERE NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_') AND n.nspname <> 'information_schema';

-- Tables, partitions among them.
SELECT
    c.oid, c.relnamespace, c.relname, c.relkind, c.relispartition, pg_catalog.pg_relation_size(c.oid) > 0
FROM pg_catalog.pg_class AS c
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't';

-- Columns of all relations.
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> ''
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped;

-- Defaults.
SELECT d.oid, d.adrelid, d.adnum, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_attrdef AS d;

-- Unique indexes; the name is that of the constraint where there is one. Servers before 15 have no column
-- indnullsnotdistinct, so that the name is that of the query around.
SELECT
    i.indrelid, i.relname, i.indkey, i.indnkeyatts, i.indisprimary,
    pg_catalog.pg_get_expr(i.indexprs, i.indrelid),
    pg_catalog.pg_get_expr(i.indpred, i.indrelid),
    i.nulls_equal
FROM (SELECT false AS indnullsnotdistinct) AS older
CROSS JOIN LATERAL (
    SELECT
        x.indrelid, c.relname, x.indkey, x.indnkeyatts, x.indisprimary, x.indexprs, x.indpred,
        indnullsnotdistinct AS nulls_equal
    FROM pg_catalog.pg_index AS x
    JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid
    WHERE x.indrelid >= 16384 AND x.indisunique) AS i;

-- Foreign keys and checks of tables.
SELECT
    k.conrelid, k.conname, k.contype, k.conkey, k.confrelid, k.confrelid::pg_catalog.regclass, k.confkey,
    k.confmatchtype, pg_catalog.pg_get_expr(k.conbin, k.conrelid)
FROM pg_catalog.pg_constraint AS k
WHERE k.conrelid >= 16384 AND (k.contype = 'c' OR k.contype = 'f' AND k.conparentid = 0);

-- Sequences.
SELECT s.seqrelid, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, pg_catalog.pg_sequence_last_value(s.seqrelid)
FROM pg_catalog.pg_sequence AS s;

-- What belongs to an extension (e), the columns that own a sequence (a, i), and the defaults that take from one (n).
SELECT
    d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.objid, d.refobjid, d.refobjsubid, d.deptype
FROM pg_catalog.pg_depend AS d
WHERE d.objid >= 16384
  AND (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
       AND (d.deptype = 'e' OR d.deptype IN ('a', 'i') AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)
       OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass);

-- Whether some trigger fires always.
SELECT t.oid FROM pg_catalog.pg_trigger AS t WHERE t.tgenabled IN ('A', 'R') LIMIT 1

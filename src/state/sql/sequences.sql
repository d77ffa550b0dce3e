-- Parameters of sequences, and the column that each belongs to, 0 where it belongs to none (PostgreSQL manual, 52.47
-- and 52.18).
SELECT
    t.seqtypid, t.seqstart, t.seqincrement, t.seqmin, t.seqmax, t.seqcache, t.seqcycle,
    coalesce((SELECT d.refobjid FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.seqrelid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 LIMIT 1), 0),
    coalesce((SELECT d.refobjsubid FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.seqrelid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 LIMIT 1), 0)
FROM pg_catalog.pg_sequence AS t
WHERE true

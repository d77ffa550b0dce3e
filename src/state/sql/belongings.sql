-- What belongs to an extension, and sequences that belong to a column (PostgreSQL manual, 52.18). 1259 is pg_class.
SELECT
    t.deptype, t.refobjsubid
FROM pg_catalog.pg_depend AS t
WHERE (t.deptype = 'e' OR t.deptype IN ('a', 'i') AND t.classid = 1259 AND t.refclassid = 1259 AND t.refobjsubid > 0
    AND EXISTS (SELECT FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = t.objid))

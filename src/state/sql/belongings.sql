-- What belongs to an extension, and sequences that belong to a column (PostgreSQL manual, 52.18). 1259 is pg_class.
-- With EXISTS the planner expects a look at pg_sequence for every row, and spends 10 ms on compiling the query.
SELECT
    t.deptype, t.refobjsubid
FROM pg_catalog.pg_depend AS t
WHERE (t.deptype = 'e' OR t.deptype IN ('a', 'i') AND t.classid = 1259 AND t.refclassid = 1259 AND t.refobjsubid > 0
    AND t.objid IN (SELECT s.seqrelid FROM pg_catalog.pg_sequence AS s))

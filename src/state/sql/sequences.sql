-- Parameters of sequences (PostgreSQL manual, 52.47).
SELECT
    t.seqtypid, t.seqstart, t.seqincrement, t.seqmin, t.seqmax, t.seqcache, t.seqcycle
FROM pg_catalog.pg_sequence AS t
WHERE true

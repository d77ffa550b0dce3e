-- Tables of publications, with a filter of rows or columns where they have one (PostgreSQL manual, 52.42).
SELECT
    t.prpubid, t.prrelid,
    CASE WHEN t.prqual IS NOT NULL OR t.prattrs IS NOT NULL THEN pg_catalog.hashtextextended(ROW(t.prqual, t.prattrs)::pg_catalog.text, 0) END -- 15+
    NULL -- <15
FROM pg_catalog.pg_publication_rel AS t
WHERE true

-- Tables of publications (PostgreSQL manual, 52.42).
SELECT
    t.prpubid, t.prrelid,
    pg_catalog.hashtextextended(ROW(t.prqual, t.prattrs)::pg_catalog.text, 0) -- 15+
    NULL -- <15
FROM pg_catalog.pg_publication_rel AS t
WHERE true

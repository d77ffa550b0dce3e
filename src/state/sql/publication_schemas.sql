-- Schemas of publications, from 15 on (PostgreSQL manual, 52.41).
SELECT
    t.pnpubid, t.pnnspid
FROM pg_catalog.pg_publication_namespace AS t
WHERE true

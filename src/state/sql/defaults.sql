-- Defaults of columns and how generated ones are computed (PostgreSQL manual, 52.6).
SELECT
    t.adrelid, t.adnum, pg_catalog.hashtextextended(t.adbin::pg_catalog.text, 0)
FROM pg_catalog.pg_attrdef AS t
WHERE true

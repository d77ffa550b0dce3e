-- Extensions (PostgreSQL manual, 52.22).
SELECT
    t.extname, t.extowner, t.extnamespace, t.extversion
FROM pg_catalog.pg_extension AS t
WHERE true

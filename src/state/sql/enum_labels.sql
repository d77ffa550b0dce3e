-- Labels of enum types (PostgreSQL manual, 52.20).
SELECT
    t.enumtypid, t.enumsortorder, t.enumlabel
FROM pg_catalog.pg_enum AS t
WHERE true

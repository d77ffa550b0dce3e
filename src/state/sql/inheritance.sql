-- Partitions and children, each with what it is one of (PostgreSQL manual, 52.27).
SELECT
    t.inhparent
FROM pg_catalog.pg_inherits AS t
WHERE true

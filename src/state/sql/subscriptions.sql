-- Subscriptions, without how they connect (PostgreSQL manual, 52.54).
SELECT
    t.subname, t.subowner, t.subdbid, t.subenabled, t.subslotname, pg_catalog.array_to_json(t.subpublications)
FROM pg_catalog.pg_subscription AS t
WHERE true

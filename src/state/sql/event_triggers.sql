-- Event triggers (PostgreSQL manual, 52.21).
SELECT
    t.evtname, t.evtevent, t.evtowner, t.evtfoid, t.evtenabled, pg_catalog.array_to_json(t.evttags)
FROM pg_catalog.pg_event_trigger AS t
WHERE true

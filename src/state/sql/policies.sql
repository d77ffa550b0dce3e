-- Policies of row security (PostgreSQL manual, 52.38).
SELECT
    t.polname, t.polrelid, t.polcmd, t.polpermissive, pg_catalog.array_to_json(t.polroles),
    pg_catalog.hashtextextended(t.polqual::pg_catalog.text, 0), pg_catalog.hashtextextended(t.polwithcheck::pg_catalog.text, 0)
FROM pg_catalog.pg_policy AS t
WHERE true

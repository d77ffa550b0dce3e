-- User mappings, of whose options only a hash is read: passwords are among them (PostgreSQL manual, 52.65).
SELECT
    t.umuser, t.umserver, pg_catalog.hashtextextended(t.umoptions::pg_catalog.text, 0)
FROM pg_catalog.pg_user_mapping AS t
WHERE true

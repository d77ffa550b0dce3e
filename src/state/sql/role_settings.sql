-- Settings of a role, of a database, or of a role in a database (PostgreSQL manual, 52.16).
SELECT
    pg_catalog.array_to_json(t.setconfig)
FROM pg_catalog.pg_db_role_setting AS t
WHERE true

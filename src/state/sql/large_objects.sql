-- Large objects (PostgreSQL manual, 52.31).
SELECT
    t.oid::pg_catalog.text, t.lomowner, {acl t.lomacl}
FROM pg_catalog.pg_largeobject_metadata AS t
WHERE true

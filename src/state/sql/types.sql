-- Types, but for those of tables' rows and for arrays (PostgreSQL manual, 52.64).
SELECT
    t.typname, t.typnamespace, t.typowner, t.typtype, t.typnotnull, t.typbasetype, t.typtypmod, t.typdefault, t.typcollation,
    {acl t.typacl}
FROM pg_catalog.pg_type AS t
WHERE t.typtype <> 'c' AND NOT (t.typtype = 'b' AND t.typcategory = 'A')

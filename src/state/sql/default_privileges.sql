-- What is granted on objects made later (PostgreSQL manual, 52.17).
SELECT
    t.defaclrole, t.defaclnamespace, t.defaclobjtype, {acl t.defaclacl}
FROM pg_catalog.pg_default_acl AS t
WHERE true

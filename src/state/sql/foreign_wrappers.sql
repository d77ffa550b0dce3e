-- Foreign-data wrappers (PostgreSQL manual, 52.23).
SELECT
    t.fdwname, t.fdwowner, t.fdwhandler, t.fdwvalidator, pg_catalog.hashtextextended(t.fdwoptions::pg_catalog.text, 0),
    {acl t.fdwacl}
FROM pg_catalog.pg_foreign_data_wrapper AS t
WHERE true

-- Foreign servers (PostgreSQL manual, 52.24).
SELECT
    t.srvname, t.srvowner, t.srvfdw, pg_catalog.hashtextextended(ROW(t.srvtype, t.srvversion, t.srvoptions)::pg_catalog.text, 0),
    {acl t.srvacl}
FROM pg_catalog.pg_foreign_server AS t
WHERE true

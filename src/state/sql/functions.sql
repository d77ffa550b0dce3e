-- Functions, procedures and aggregates (PostgreSQL manual, 52.39). Of PostgreSQL's own, the source is left out.
SELECT
    t.proname, t.pronamespace, t.proowner, t.prokind, t.prolang, t.prosecdef, t.proleakproof, t.proisstrict, t.provolatile,
    t.proparallel, t.prorettype, t.proretset, t.proargtypes, pg_catalog.array_to_json(t.proconfig),
    CASE WHEN t.oid >= 16384 THEN
        pg_catalog.hashtextextended(ROW(t.prosrc, t.probin, t.proargdefaults, t.proallargtypes, t.proargmodes, t.proargnames,
            t.provariadic
            , t.prosqlbody -- 14+
        )::pg_catalog.text, 0) END,
    {acl t.proacl}
FROM pg_catalog.pg_proc AS t
WHERE true

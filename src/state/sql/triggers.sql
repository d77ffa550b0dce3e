-- Triggers, among them those with which foreign keys are kept (PostgreSQL manual, 52.58).
SELECT
    t.tgname, t.tgrelid, t.tgparentid, t.tgfoid, t.tgenabled, t.tgisinternal, t.tgconstraint,
    pg_catalog.hashtextextended(ROW(t.tgtype, t.tgdeferrable, t.tginitdeferred, t.tgattr, t.tgargs, t.tgqual, t.tgoldtable,
        t.tgnewtable)::pg_catalog.text, 0)
FROM pg_catalog.pg_trigger AS t
WHERE true

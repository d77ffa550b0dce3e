-- The locks of this session, as text: in which mode, on what, the OID of what has no name yet, and in which database; of
-- a table also its OID, its file, and how often this session has read it from one end to the other since it last told so
-- (PostgreSQL manual, 27.2.1), which it is to do when the transaction ends.
-- Relations of the system, and temporary ones, which nobody else can wait for, are left out (PostgreSQL manual, 54.12).
SELECT l.mode,
       CASE
           WHEN n.oid IS NOT NULL THEN pg_catalog.format('%I.%I', n.nspname, c.relname)
           WHEN l.locktype = 'advisory' THEN
               CASE l.objsubid
                   WHEN 1 THEN 'advisory lock ' || ((l.classid::pg_catalog.int8 << 32) | l.objid::pg_catalog.int8)::pg_catalog.text
                   ELSE 'advisory lock (' || l.classid || ', ' || l.objid || ')'
               END
       END,
       CASE WHEN c.oid IS NULL THEN l.relation END,
       pg_catalog.current_database(),
       t.oid,
       pg_catalog.pg_relation_filenode(t.oid),
       pg_catalog.pg_stat_get_xact_numscans(t.oid)
       -- and told
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.oid AND t.relkind IN ('r', 'm')
WHERE l.pid = pg_catalog.pg_backend_pid()
  AND l.granted
  AND l.locktype IN ('relation', 'advisory')
  AND l.mode <> 'SIReadLock'
  AND (l.relation IS NULL OR l.relation >= 16384)
  AND (l.locktype = 'advisory'
       OR l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
  AND coalesce(n.nspname !~ '^pg_(toast|temp)|^pg_catalog$|^information_schema$', true)

-- What is running or left behind: sessions of strangers, what they have locked, temporary tables, prepared
-- transactions and replication slots (PostgreSQL manual, 27.2.3, 53.12, 53.16 and 53.19); the time, and how much there
-- may be of each.
SELECT 'session', a.pid, a.usesysid, a.datname, a.application_name, a.state, a.xact_start IS NOT NULL,
    a.backend_xid IS NOT NULL
FROM pg_catalog.pg_stat_activity AS a
WHERE a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
    AND NOT a.application_name = ANY ({known});
SELECT DISTINCT 'lock', l.pid, l.mode, l.locktype, l.relation, l.classid, l.objid
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.locktype IN ('relation', 'advisory')
    AND (l.database IS NULL OR l.database = 0
        OR l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
    AND a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
    AND NOT a.application_name = ANY ({known});
SELECT 'temporary', n.nspname, c.relname, c.relowner
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relpersistence = 't' AND c.relkind IN ('r', 'p', 'v', 'S');
SELECT 'prepared', p.gid, p.owner, p.database
FROM pg_catalog.pg_prepared_xacts AS p;
SELECT 'slot', s.slot_name, s.slot_type, s.database
FROM pg_catalog.pg_replication_slots AS s
WHERE NOT s.temporary;
SELECT 'now', pg_catalog.floor(extract(epoch FROM pg_catalog.clock_timestamp()))::pg_catalog.int8;
SELECT 'limit', n.name, pg_catalog.current_setting(n.name, true)
FROM (VALUES ('max_connections'), ('superuser_reserved_connections'), ('reserved_connections'), ('max_replication_slots'),
    ('max_prepared_transactions'), ('max_locks_per_transaction')) AS n (name)

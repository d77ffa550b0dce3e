-- The server, the database, and who asks. Comes before the timeouts of this session are set: they are read here.
SELECT pg_catalog.jsonb_build_object(
  'version_num', pg_catalog.current_setting('server_version_num')::int,
  'version', pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1),
  'database', pg_catalog.current_database(),
  'role', current_user,
  'captured_at', pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  'reads_all_stats', pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
  'roles', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'),
  'extensions', (
    SELECT coalesce(pg_catalog.jsonb_agg(extname || ' ' || extversion ORDER BY extname), '[]')
    FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'),
  -- What decides how statements go, where the server's configuration says other than PostgreSQL's own default.
  'settings', (
    SELECT coalesce(pg_catalog.jsonb_object_agg(name, pg_catalog.current_setting(name)), '{}')
    FROM pg_catalog.pg_settings
    WHERE source IN ('configuration file', 'command line') AND setting IS DISTINCT FROM boot_val
      AND pg_catalog.lower(name) IN (
        'bytea_output', 'datestyle', 'default_transaction_isolation', 'idle_in_transaction_session_timeout',
        'idle_session_timeout', 'intervalstyle', 'lock_timeout', 'max_prepared_transactions', 'statement_timeout',
        'timezone', 'transaction_timeout', 'wal_level'))
);

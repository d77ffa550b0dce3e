-- Settings of the server that are not the built-in ones, and what its files say, which may not be in force yet
-- (PostgreSQL manual, 53.8 and 53.24).
SELECT 'setting', s.name, s.reset_val
FROM pg_catalog.pg_settings AS s
WHERE s.source = 'configuration file' OR s.source = 'default' AND s.pending_restart;
SELECT 'file_setting', f.name, f.setting, f.sourcefile LIKE '%postgresql.auto.conf'
FROM pg_catalog.pg_file_settings AS f
WHERE f.name IS NOT NULL
ORDER BY f.seqno

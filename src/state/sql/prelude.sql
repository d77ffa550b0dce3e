-- What must be known before the catalogs are asked: the version, the database, what this role may not read, and
-- the path that names are looked up by.
SELECT
    pg_catalog.current_setting('server_version_num'),
    (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()),
    pg_catalog.current_setting('search_path'),
    pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT'),
    pg_catalog.has_table_privilege('pg_catalog.pg_subscription', 'SELECT'),
    pg_catalog.has_table_privilege('pg_catalog.pg_user_mapping', 'SELECT')

-- The roles that log in, without the one that owns the catalogs (PostgreSQL's source, BOOTSTRAP_SUPERUSERID) and thirdrun's
-- own. Of a superuser only what it owns and what it was granted by name is a duty: else everything would be.
CREATE TEMPORARY VIEW logins AS
SELECT r.oid, r.rolname AS name, r.rolsuper AS super
FROM pg_catalog.pg_roles AS r
WHERE r.rolcanlogin AND r.oid <> 10 AND r.rolname <> 'thirdrun';

-- Schemas of users.
CREATE TEMPORARY VIEW schemas AS
SELECT n.oid, n.nspname AS name, n.nspowner AS owner, n.nspacl AS acl
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';

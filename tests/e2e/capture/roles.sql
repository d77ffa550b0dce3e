-- The roles of the original. Every secret in these files has "s3cret" in it, every value of a row "row-value".
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE writers NOLOGIN;
CREATE ROLE svc_import LOGIN PASSWORD 'role-s3cret' CONNECTION LIMIT 9;
CREATE ROLE analyst LOGIN PASSWORD 'p@ss/w s3cret' VALID UNTIL '2099-01-01 00:00:00+00';
GRANT writers TO svc_import;
ALTER ROLE svc_import SET statement_timeout = '30s';
ALTER ROLE svc_import SET app.api_token = 'setting-s3cret';
ALTER ROLE svc_import IN DATABASE shop SET search_path = sales, public;
ALTER DATABASE shop SET "app.jwt_secret" = 'setting-s3cret';
GRANT CONNECT ON DATABASE shop TO svc_import;
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE fast OWNER shop_owner LOCATION '';
GRANT CREATE ON TABLESPACE fast TO writers;

-- Roles as they are in the wild, in what every version from 13 on understands.
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE "Report Readers" NOLOGIN;
CREATE ROLE writers NOLOGIN CREATEROLE;
CREATE ROLE svc_import LOGIN PASSWORD 'in the clear' CONNECTION LIMIT 9;
CREATE ROLE svc_reader LOGIN VALID UNTIL '2099-01-01 00:00:00+00' NOINHERIT;
CREATE ROLE deploy LOGIN CREATEDB BYPASSRLS;
GRANT writers TO svc_import;
GRANT shop_owner TO deploy WITH ADMIN OPTION;
GRANT "Report Readers" TO svc_reader;
GRANT pg_monitor TO svc_reader;
SET ROLE deploy;
GRANT shop_owner TO svc_reader;
RESET ROLE;
ALTER ROLE svc_import SET statement_timeout = '30s';
ALTER ROLE svc_reader IN DATABASE shop SET search_path = sales, public;

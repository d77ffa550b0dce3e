-- Objects of many kinds, with owners and grants of many kinds.
CREATE SCHEMA sales AUTHORIZATION shop_owner;
GRANT USAGE ON SCHEMA sales TO writers, "Report Readers";
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE EXTENSION hstore WITH SCHEMA public;
CREATE TYPE sales.status AS ENUM ('new', 'paid', 'sent');
CREATE DOMAIN sales.email AS text CHECK (VALUE ~ '^[a-z]+@[a-z]+\.[a-z]{2,4}$');
CREATE TYPE sales.money_amount AS (currency char(3), cents bigint);
CREATE SEQUENCE sales.ticket START 1000;
SET ROLE shop_owner;
CREATE TABLE sales.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email sales.email NOT NULL UNIQUE,
  "odd; name" text DEFAULT 'a;b -- no comment',
  tags public.hstore,
  note text
);
CREATE TABLE sales.orders (
  id bigserial PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES sales.customers ON DELETE CASCADE,
  status sales.status NOT NULL DEFAULT 'new',
  total numeric(10,2) NOT NULL CHECK (total >= 0),
  gross numeric GENERATED ALWAYS AS (total * 1.19) STORED,
  placed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_open ON sales.orders (customer_id) WHERE status <> 'sent';
CREATE TABLE sales.events (at timestamptz NOT NULL, kind text NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE sales.events_2025 PARTITION OF sales.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE sales.events_rest PARTITION OF sales.events DEFAULT;
CREATE VIEW sales.open_orders AS SELECT o.id, c.email FROM sales.orders o JOIN sales.customers c ON c.id = o.customer_id WHERE o.status = 'new';
CREATE MATERIALIZED VIEW sales.totals AS SELECT customer_id, sum(total) AS total FROM sales.orders GROUP BY 1 WITH NO DATA;
CREATE FUNCTION sales.touch() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  NEW.placed_at := now(); -- a ; in a body
  RETURN NEW;
END $body$;
CREATE TRIGGER touch BEFORE UPDATE ON sales.orders FOR EACH ROW EXECUTE FUNCTION sales.touch();
ALTER TABLE sales.orders DISABLE TRIGGER touch;
CREATE FUNCTION sales.ping() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = sales AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION sales.ping() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sales.ping() TO writers WITH GRANT OPTION;
CREATE PROCEDURE sales.noop() LANGUAGE sql AS 'SELECT 1';
CREATE RULE no_delete AS ON DELETE TO sales.customers DO INSTEAD NOTHING;
ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON sales.orders TO writers USING (true);
CREATE POLICY own ON sales.orders FOR SELECT TO "Report Readers" USING (total > 0);
GRANT SELECT, INSERT, UPDATE (status) ON sales.orders TO writers;
GRANT SELECT ON sales.orders TO writers WITH GRANT OPTION;
GRANT SELECT (id, email) ON sales.customers TO "Report Readers";
GRANT SELECT ON sales.customers TO writers;
GRANT USAGE ON SEQUENCE sales.orders_id_seq TO writers;
REVOKE ALL ON sales.events FROM shop_owner;
ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT SELECT ON TABLES TO "Report Readers";
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SET ROLE writers;
GRANT SELECT ON sales.orders TO svc_reader;
RESET ROLE;
COMMENT ON TABLE sales.orders IS 'It''s; "quoted"';
CREATE PUBLICATION changes FOR TABLE sales.orders;
CREATE STATISTICS sales.odds ON customer_id, status FROM sales.orders;
CREATE AGGREGATE sales.longest(text) (SFUNC = textcat, STYPE = text);
CREATE OPERATOR sales.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE COLLATION sales.plain (LOCALE = 'C');
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE USER MAPPING FOR svc_import SERVER far OPTIONS (secret 'x');
CREATE FOREIGN TABLE sales.remote (a int) SERVER far;
CREATE VIEW sales.circle AS SELECT 1 AS one;
CREATE FUNCTION sales.of_circle() RETURNS SETOF sales.circle LANGUAGE sql AS 'SELECT * FROM sales.circle';
CREATE OR REPLACE VIEW sales.circle AS SELECT one FROM sales.of_circle();
ALTER DEFAULT PRIVILEGES FOR ROLE deploy GRANT ALL ON SEQUENCES TO svc_import;
GRANT CONNECT ON DATABASE shop TO svc_reader;
REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC;
ALTER DATABASE shop SET lock_timeout = '5s';

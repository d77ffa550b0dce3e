-- Ordinary tables: what a shop has.
CREATE TABLE countries (code char(2) NOT NULL, id serial PRIMARY KEY, name text NOT NULL, currency char(3) NOT NULL);
CREATE TABLE customers (
    id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, first_name text NOT NULL, last_name text NOT NULL,
    phone varchar(30), country_id int NOT NULL REFERENCES countries, street text, city text, zip varchar(10),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'blocked', 'new')),
    settings jsonb NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE products (
    id serial PRIMARY KEY, sku varchar(40) NOT NULL UNIQUE, title text NOT NULL, description text,
    price numeric(10,2) NOT NULL CHECK (price > 0), weight double precision, active boolean NOT NULL DEFAULT true,
    tags text[] NOT NULL DEFAULT '{}'
);
CREATE TABLE orders (
    id bigserial PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, placed_at timestamptz NOT NULL,
    shipped_at timestamptz, total numeric(12,2) NOT NULL, note text, reference uuid NOT NULL UNIQUE,
    CHECK (shipped_at >= placed_at)
);
CREATE INDEX ON orders (customer_id);
CREATE TABLE order_lines (
    id bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, product_id int NOT NULL REFERENCES products,
    quantity int NOT NULL CHECK (quantity > 0), price numeric(10,2) NOT NULL, discount int NOT NULL DEFAULT 0
);
CREATE INDEX ON order_lines (order_id);
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), actor text NOT NULL,
    action text NOT NULL, payload jsonb, ip inet
);

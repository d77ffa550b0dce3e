CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION btree_gist;
CREATE SCHEMA shop;
CREATE SCHEMA "Odd ""Schema";
CREATE TYPE shop.mood AS ENUM ('calm', 'it''s fine', 'busy');
CREATE TYPE shop.pair AS (label text, amount int);
CREATE DOMAIN shop.positive AS int CHECK (VALUE > 0);
CREATE DOMAIN shop.small_positive AS shop.positive NOT NULL CHECK (VALUE <= 50);
CREATE DOMAIN shop.email AS citext CHECK (VALUE ~ '^[a-z.]+@[a-z]+\.(com|org)$');
CREATE DOMAIN shop.code AS varchar(8) CHECK (upper(VALUE::text) = VALUE::text AND length(VALUE::text) >= 3);

CREATE TABLE tenants (id serial PRIMARY KEY, slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9-]{3,40}$'), active boolean NOT NULL DEFAULT true);
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 10) PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    email citext NOT NULL,
    login varchar(12) NOT NULL UNIQUE,
    age int CHECK (age BETWEEN 18 AND 30),
    name text NOT NULL CHECK (length(trim(name)) > 0),
    status varchar(10) NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'active', 'gone')),
    born date CHECK (born < CURRENT_DATE - interval '18 years'),
    manager_id bigint REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now() CHECK (created_at <= now()),
    search tsvector GENERATED ALWAYS AS (to_tsvector('simple', name)) STORED,
    UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX ON users (tenant_id, lower(email::text));
CREATE TABLE projects (
    tenant_id int NOT NULL REFERENCES tenants, id int NOT NULL, owner_id bigint NOT NULL,
    title varchar(20) NOT NULL CHECK (title <> ''),
    starts date NOT NULL, ends date, CHECK (ends > starts),
    PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id)
);
CREATE TABLE tasks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id int NOT NULL, project_id int, assignee_id bigint,
    parent_id uuid REFERENCES tasks, points shop.small_positive, mood shop.mood NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects,
    FOREIGN KEY (tenant_id, assignee_id) REFERENCES users (tenant_id, id),
    CHECK ((mood = 'calm') = (assignee_id IS NULL) OR mood <> 'calm')
);
CREATE TABLE profiles (user_id bigint PRIMARY KEY REFERENCES users, bio text, avatar bytea NOT NULL, prefs jsonb NOT NULL CHECK (jsonb_typeof(prefs) = 'object' AND prefs ? 'lang'));
CREATE TABLE tags (name shop.code PRIMARY KEY, colour char(7) NOT NULL CHECK (colour ~ '^#[0-9a-f]{6}$'), contact shop.email NOT NULL);
CREATE TABLE task_tags (task_id uuid REFERENCES tasks, tag shop.code REFERENCES tags, PRIMARY KEY (task_id, tag));
-- Circles: one that NULL breaks, one that nothing breaks.
CREATE TABLE teams (id serial PRIMARY KEY, lead_id int);
CREATE TABLE members (id serial PRIMARY KEY, team_id int NOT NULL REFERENCES teams);
ALTER TABLE teams ADD FOREIGN KEY (lead_id) REFERENCES members;
CREATE TABLE hens (id int PRIMARY KEY, egg_id int NOT NULL UNIQUE);
CREATE TABLE eggs (id int PRIMARY KEY, hen_id int NOT NULL REFERENCES hens);
ALTER TABLE hens ADD FOREIGN KEY (egg_id) REFERENCES eggs;
CREATE TABLE roots (id int PRIMARY KEY, parent int NOT NULL REFERENCES roots);
-- Every type.
CREATE TABLE shop.types (
    id smallserial PRIMARY KEY, b bool NOT NULL, i2 smallint NOT NULL, i8 bigint NOT NULL, n numeric NOT NULL, n2 numeric(4,2) NOT NULL, n3 numeric(2,2) NOT NULL,
    f4 real NOT NULL, f8 double precision NOT NULL, m money NOT NULL, t text NOT NULL, v varchar(5) NOT NULL, c char(3) NOT NULL, c1 "char" NOT NULL, nm name NOT NULL,
    by bytea NOT NULL, d date NOT NULL, ti time NOT NULL, tz timetz NOT NULL, ts timestamp(0) NOT NULL, tsz timestamptz NOT NULL, iv interval NOT NULL,
    u uuid NOT NULL, j json NOT NULL, jb jsonb NOT NULL, ine inet NOT NULL, ci cidr NOT NULL, ma macaddr NOT NULL, ma8 macaddr8 NOT NULL, bt bit(5) NOT NULL, vb bit varying(9) NOT NULL,
    x xml NOT NULL, tv tsvector NOT NULL, tq tsquery NOT NULL, r4 int4range NOT NULL, rn numrange NOT NULL, rd daterange NOT NULL, rts tstzrange NOT NULL, mr int4multirange NOT NULL,
    p point NOT NULL, l line NOT NULL, ls lseg NOT NULL, bx box NOT NULL, pa path NOT NULL, po polygon NOT NULL, ce circle NOT NULL, o oid NOT NULL, rc regclass NOT NULL,
    h hstore NOT NULL, ct citext NOT NULL, lsn pg_lsn NOT NULL, e shop.mood NOT NULL, ta text[] NOT NULL CHECK (cardinality(ta) >= 2), ia int[] NOT NULL, ea shop.mood[] NOT NULL, da shop.positive[] NOT NULL,
    pr shop.pair NOT NULL, dom shop.code NOT NULL, na numeric(3,1)[] NOT NULL, ca char(2)[] NOT NULL
);
-- Partitions: range within list, hash, and a reference to each.
CREATE TABLE shop.events (
    id bigserial, region text NOT NULL, at timestamptz NOT NULL, user_id bigint REFERENCES users, PRIMARY KEY (id, region, at)
) PARTITION BY LIST (region);
CREATE TABLE shop.events_eu PARTITION OF shop.events FOR VALUES IN ('de', 'fr') PARTITION BY RANGE (at);
CREATE TABLE shop.events_eu_22 PARTITION OF shop.events_eu FOR VALUES FROM ('2022-01-01') TO ('2022-02-01');
CREATE TABLE shop.events_eu_23 PARTITION OF shop.events_eu FOR VALUES FROM ('2023-01-01') TO (MAXVALUE);
CREATE TABLE shop.events_us PARTITION OF shop.events FOR VALUES IN ('us');
CREATE TABLE shop.measures (sensor int NOT NULL, day date NOT NULL, value numeric(8,3), PRIMARY KEY (sensor, day)) PARTITION BY RANGE (sensor, day);
CREATE TABLE shop.measures_1 PARTITION OF shop.measures FOR VALUES FROM (1, '2020-01-01') TO (1, '2020-12-31');
CREATE TABLE shop.measures_2 PARTITION OF shop.measures FOR VALUES FROM (5, '2021-01-01') TO (9, '2021-01-01');
CREATE TABLE shop.hashed (id int PRIMARY KEY, note text) PARTITION BY HASH (id);
CREATE TABLE shop.hashed_0 PARTITION OF shop.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.hashed_1 PARTITION OF shop.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE shop.readings (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, sensor int NOT NULL, day date NOT NULL, hashed_id int NOT NULL REFERENCES shop.hashed, FOREIGN KEY (sensor, day) REFERENCES shop.measures);
-- Keys of other shapes.
CREATE TABLE shop.defaults (user_id bigint NOT NULL REFERENCES users, is_default bool NOT NULL, deleted_at timestamptz, kind text NOT NULL);
CREATE UNIQUE INDEX ON shop.defaults (user_id) WHERE is_default;
CREATE UNIQUE INDEX ON shop.defaults (kind, user_id) WHERE deleted_at IS NULL;
CREATE TABLE shop.bookings (room int NOT NULL, during tstzrange NOT NULL, EXCLUDE USING gist (room WITH =, during WITH &&));
CREATE TABLE shop.payments (
    id int PRIMARY KEY DEFAULT 7, card text, iban text, voucher text, amount numeric(10,2) NOT NULL, fee numeric(10,2) NOT NULL,
    currency char(3) NOT NULL DEFAULT 'EUR' CHECK (currency IN ('EUR', 'USD')),
    CHECK (num_nonnulls(card, iban, voucher) = 1), CHECK (fee <= amount), CHECK (amount > 0 AND fee >= 0)
);
CREATE TABLE shop.shapes (
    id int PRIMARY KEY, kind text NOT NULL, radius int, side int,
    CHECK ((kind = 'circle' AND radius IS NOT NULL AND side IS NULL) OR (kind = 'square' AND side > 0 AND radius IS NULL))
);
CREATE TABLE shop.strange (id int PRIMARY KEY, n int NOT NULL CHECK (n % 3 = 0), w text NOT NULL CHECK (CASE WHEN n > 0 THEN w = 'yes' ELSE w = 'no' END));
CREATE TABLE "Odd ""Schema"."Odd ""Table" ("Id" serial PRIMARY KEY, "a b" text NOT NULL CHECK ("a b" <> ''), "select" int NOT NULL CHECK ("select" > 1000000));
CREATE TABLE shop.short (code char(2) PRIMARY KEY, flag char(1) NOT NULL DEFAULT 'Y' CHECK (flag IN ('Y', 'N')));
CREATE TABLE shop.noisy (id serial PRIMARY KEY, total int NOT NULL, doubled int GENERATED ALWAYS AS (total * 2) STORED UNIQUE);
CREATE TABLE shop.loud (doubled int NOT NULL REFERENCES shop.noisy (doubled));
CREATE FUNCTION shop.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no rows here'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON shop.noisy FOR EACH ROW EXECUTE FUNCTION shop.refuse();
-- What cannot be done.
CREATE TABLE shop.never (id int PRIMARY KEY, n int NOT NULL CHECK (n > 5 AND n < 3));
CREATE TABLE shop.after_never (id int PRIMARY KEY, never_id int NOT NULL REFERENCES shop.never);
CREATE TABLE shop.nowhere (id int) PARTITION BY LIST (id);
CREATE TABLE shop.few (mood shop.mood PRIMARY KEY);
CREATE SEQUENCE shop.shared;
CREATE TABLE shop.shared_a (id bigint PRIMARY KEY DEFAULT nextval('shop.shared'));
CREATE TABLE shop.shared_b (id bigint PRIMARY KEY DEFAULT nextval('shop.shared'));
CREATE TABLE shop.nothing ();
CREATE TABLE shop.lines (
    id int PRIMARY KEY, price numeric(10,2) NOT NULL, quantity int NOT NULL, total numeric(12,2) NOT NULL, iso char(2) NOT NULL,
    CHECK (total = price * quantity), CHECK (iso = upper(iso)), UNIQUE (quantity, price) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE shop.either (id int PRIMARY KEY, line_id int REFERENCES shop.lines, tag shop.code REFERENCES tags, CHECK ((line_id IS NULL) <> (tag IS NULL)));

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

-- Exclusion: of ranges alone, with equality, of two columns' span.
CREATE TABLE shop.shifts (id serial PRIMARY KEY, during int4range NOT NULL, EXCLUDE USING gist (during WITH &&));
CREATE TABLE shop.leases (
    id serial PRIMARY KEY, flat int NOT NULL, starts date NOT NULL, ends date NOT NULL, CHECK (ends > starts),
    EXCLUDE USING gist (flat WITH =, daterange(starts, ends) WITH &&)
);
CREATE TABLE shop.zones (id serial PRIMARY KEY, area circle NOT NULL, EXCLUDE USING gist (area WITH &&));
CREATE TABLE shop.seats (id serial PRIMARY KEY, label text NOT NULL, EXCLUDE (label WITH =) WHERE (label <> 'x'));
-- A circle that is deferred and has NULL nowhere, of three tables, one of them with a key of two columns.
CREATE TABLE shop.a (id int PRIMARY KEY, b_id int NOT NULL);
CREATE TABLE shop.b (id int PRIMARY KEY, c_x int NOT NULL, c_y text NOT NULL);
CREATE TABLE shop.c (x int, y text, a_id int NOT NULL UNIQUE REFERENCES shop.a DEFERRABLE INITIALLY DEFERRED, PRIMARY KEY (x, y));
ALTER TABLE shop.a ADD FOREIGN KEY (b_id) REFERENCES shop.b DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE shop.b ADD FOREIGN KEY (c_x, c_y) REFERENCES shop.c DEFERRABLE INITIALLY DEFERRED;
-- Partitions of every kind, with defaults.
CREATE TABLE shop.logs (id bigint GENERATED ALWAYS AS IDENTITY, level text NOT NULL, at date NOT NULL, PRIMARY KEY (id, level, at)) PARTITION BY LIST (level);
CREATE TABLE shop.logs_info PARTITION OF shop.logs FOR VALUES IN ('info', 'debug') PARTITION BY RANGE (at);
CREATE TABLE shop.logs_info_old PARTITION OF shop.logs_info FOR VALUES FROM (MINVALUE) TO ('2023-01-01');
CREATE TABLE shop.logs_info_23 PARTITION OF shop.logs_info FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE shop.logs_info_rest PARTITION OF shop.logs_info DEFAULT;
CREATE TABLE shop.logs_error PARTITION OF shop.logs FOR VALUES IN ('error') PARTITION BY HASH (id);
CREATE TABLE shop.logs_error_0 PARTITION OF shop.logs_error FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE shop.logs_error_1 PARTITION OF shop.logs_error FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE shop.logs_error_2 PARTITION OF shop.logs_error FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE TABLE shop.logs_rest PARTITION OF shop.logs DEFAULT;
CREATE TABLE shop.log_notes (id serial PRIMARY KEY, log_id bigint NOT NULL, level text NOT NULL, at date NOT NULL, FOREIGN KEY (log_id, level, at) REFERENCES shop.logs);
CREATE TABLE shop.ages (age int NOT NULL, name text NOT NULL CHECK (name <> '')) PARTITION BY RANGE (age);
CREATE TABLE shop.ages_young PARTITION OF shop.ages FOR VALUES FROM (0) TO (18);
CREATE TABLE shop.ages_old PARTITION OF shop.ages FOR VALUES FROM (18) TO (MAXVALUE);
CREATE TABLE shop.ages_rest PARTITION OF shop.ages DEFAULT;
CREATE TABLE shop.letters (word text NOT NULL, n int) PARTITION BY RANGE (word);
CREATE TABLE shop.letters_a PARTITION OF shop.letters FOR VALUES FROM ('a') TO ('m');
CREATE TABLE shop.letters_m PARTITION OF shop.letters FOR VALUES FROM ('m') TO ('z');
CREATE TABLE shop.flags (yes bool, n int) PARTITION BY LIST (yes);
CREATE TABLE shop.flags_t PARTITION OF shop.flags FOR VALUES IN (true);
CREATE TABLE shop.flags_n PARTITION OF shop.flags FOR VALUES IN (false, NULL);
CREATE TABLE shop.months (at timestamptz NOT NULL, n int) PARTITION BY RANGE (date_trunc('month', at AT TIME ZONE 'UTC'));
CREATE TABLE shop.months_all PARTITION OF shop.months FOR VALUES FROM ('2000-01-01') TO ('2100-01-01');
-- Domains over arrays and composites, composites in composites, multiranges.
CREATE DOMAIN shop.tags AS text[] CHECK (cardinality(VALUE) BETWEEN 1 AND 5);
CREATE TYPE shop.address AS (street text, zip char(5), at point, kind shop.mood);
CREATE TYPE shop.person AS (name text, home shop.address, points shop.positive);
CREATE TYPE shop.span AS RANGE (subtype = float8);
CREATE TABLE shop.deep (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tags shop.tags NOT NULL, who shop.person NOT NULL, family shop.person[] NOT NULL,
    spans shop.span NOT NULL, ranges datemultirange NOT NULL, nested int[][] NOT NULL, bits bit varying NOT NULL, doc xml NOT NULL, iv interval day to second NOT NULL,
    ts3 timestamp(3) NOT NULL, neg numeric(3,-2) NOT NULL, tiny numeric(3,3) NOT NULL, path jsonpath NOT NULL
);
-- Keys of every shape.
CREATE TABLE shop.yes_no (answer boolean PRIMARY KEY);
CREATE TABLE shop.tiny (id smallint PRIMARY KEY CHECK (id BETWEEN 1 AND 120), v varchar(1) NOT NULL UNIQUE, c char(1) NOT NULL);
CREATE TABLE shop.per_day (day date PRIMARY KEY, at timestamptz NOT NULL UNIQUE, took interval NOT NULL UNIQUE, ratio numeric(5,4) NOT NULL UNIQUE, host inet NOT NULL UNIQUE, mac macaddr NOT NULL UNIQUE, bits bit(8) NOT NULL UNIQUE, blob bytea NOT NULL UNIQUE);
CREATE TABLE shop.pairs (a bool NOT NULL, mood shop.mood NOT NULL, n smallint NOT NULL, PRIMARY KEY (a, mood, n));
CREATE TABLE shop.triple (user_id bigint NOT NULL REFERENCES users, tag shop.code NOT NULL REFERENCES tags, role text NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'admin')), UNIQUE (user_id, tag, role));
CREATE TABLE shop.slugs (id serial PRIMARY KEY, first_name text NOT NULL, slug text GENERATED ALWAYS AS (lower(first_name)) STORED UNIQUE, initial text GENERATED ALWAYS AS (left(first_name, 1)) STORED);
CREATE TABLE shop.settings (id int PRIMARY KEY DEFAULT 1, name text NOT NULL);
CREATE UNIQUE INDEX ON shop.settings (lower(name));
CREATE TABLE shop.only_one (id bool PRIMARY KEY DEFAULT true CHECK (id), name text NOT NULL);
-- Inheritance.
CREATE TABLE shop.vehicles (id serial PRIMARY KEY, plate varchar(8) NOT NULL CHECK (plate = upper(plate)), wheels int CHECK (wheels > 0));
CREATE TABLE shop.cars (doors int NOT NULL CHECK (doors IN (3, 5)), PRIMARY KEY (id)) INHERITS (shop.vehicles);
CREATE TABLE shop.lorries (load numeric(6,2) NOT NULL, CHECK (wheels >= 4 AND load < 4000)) INHERITS (shop.vehicles);
-- Checks.
CREATE FUNCTION shop.is_even(n int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT n % 2 = 0';
CREATE FUNCTION shop.is_valid(t text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN t IN ('red', 'green') OR length(t) > 3; END $$;
CREATE TABLE shop.checks (
    id serial PRIMARY KEY, code text NOT NULL CHECK (code ~ '^[A-Z]{3}-[0-9]{4}$'), hex char(8) NOT NULL CHECK (hex ~* '^[0-9A-F]{8}$'), path text NOT NULL CHECK (path LIKE '/%/_%'),
    mail text NOT NULL UNIQUE CHECK (mail ~* '^[^@]+@[^@]+\.[a-z]{2,}$'), web text CHECK (web IS NULL OR web ~ '^https?://'), nolike text NOT NULL CHECK (nolike NOT LIKE '%a%' AND nolike !~ '^x'),
    either text NOT NULL CHECK (either LIKE ANY (ARRAY['a%', 'b%'])), lower text NOT NULL CHECK (lower = lower(lower)), upper text NOT NULL CHECK (upper(upper) = upper AND length(upper) BETWEEN 2 AND 4),
    year smallint NOT NULL CHECK (year BETWEEN 1990 AND 1995), pct numeric(5,2) NOT NULL CHECK (pct >= 0 AND pct <= 100), low real NOT NULL CHECK (low > 0.5 AND low < 1.5), neg int NOT NULL CHECK (neg < 0),
    even int NOT NULL CHECK (shop.is_even(even)), colour text NOT NULL CHECK (shop.is_valid(colour)), parts text[] NOT NULL CHECK (array_length(parts, 1) = 2), size int NOT NULL CHECK (size <> 0 AND size % 5 = 0),
    starts timestamptz NOT NULL, ends timestamptz, CHECK (ends IS NULL OR ends > starts), CHECK (starts >= '2020-01-01' AND starts < '2030-01-01'),
    lo int NOT NULL, mid int NOT NULL, hi int NOT NULL, CHECK (lo < mid AND mid < hi), CHECK (hi - lo <= 500),
    kind text NOT NULL CHECK (kind IN ('person', 'firm')), person text, firm text, CHECK ((kind = 'person') = (person IS NOT NULL)), CHECK ((kind = 'firm') = (firm IS NOT NULL)),
    doc jsonb NOT NULL CHECK (doc ? 'kind' AND jsonb_typeof(doc) = 'object'), x text, y text, CHECK (NOT (x IS NULL AND y IS NULL)), trimmed text NOT NULL CHECK (trimmed = btrim(trimmed) AND trimmed <> ''),
    born date NOT NULL CHECK (born > '1900-01-01' AND born <= CURRENT_DATE), weekday int NOT NULL CHECK (weekday = ANY (ARRAY[1, 2, 3, 4, 5])), a int, b int, CHECK (coalesce(a, 0) + coalesce(b, 0) > 0)
);
-- Rules and triggers, as pg_restore treats them: rows go into the table itself.
CREATE TABLE shop.ruled (id serial PRIMARY KEY, n int NOT NULL);
CREATE RULE ruled_nothing AS ON INSERT TO shop.ruled DO INSTEAD NOTHING;
CREATE TABLE shop.triggered (id serial PRIMARY KEY, n int NOT NULL);
CREATE TRIGGER refuse BEFORE INSERT ON shop.triggered FOR EACH STATEMENT EXECUTE FUNCTION shop.refuse();
ALTER TABLE shop.triggered ENABLE ALWAYS TRIGGER refuse;
CREATE TABLE shop.guarded (id serial PRIMARY KEY, n int NOT NULL);
ALTER TABLE shop.guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.guarded FORCE ROW LEVEL SECURITY;
-- Names that tell.
CREATE TABLE shop.contacts (
    id serial PRIMARY KEY, email text NOT NULL, phone text NOT NULL, website_url text NOT NULL, country char(2) NOT NULL, country_name text NOT NULL, currency char(3) NOT NULL, status text NOT NULL, zip text NOT NULL,
    ip_address text NOT NULL, mac text NOT NULL, uuid text NOT NULL, sha256 char(64) NOT NULL, payload_json text NOT NULL, first_name text NOT NULL, last_name text NOT NULL, city text NOT NULL, company text NOT NULL, address inet NOT NULL
);
-- References that are full, to themselves, on columns that are shared.
CREATE TABLE shop.nodes (tenant int NOT NULL REFERENCES tenants, id int NOT NULL, parent int, PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, parent) REFERENCES shop.nodes (tenant, id));
CREATE TABLE shop.full_match (id serial PRIMARY KEY, tenant int, node int, FOREIGN KEY (tenant, node) REFERENCES shop.nodes MATCH FULL);
CREATE TABLE shop.one_to_one (node_tenant int NOT NULL, node_id int NOT NULL, note text, PRIMARY KEY (node_tenant, node_id), FOREIGN KEY (node_tenant, node_id) REFERENCES shop.nodes);
CREATE TABLE shop.wide (c0 int NOT NULL, c1 text NOT NULL, c2 date NOT NULL, c3 numeric(8,2) NOT NULL, c4 bool NOT NULL, c5 int NOT NULL, c6 text NOT NULL, c7 date NOT NULL, c8 numeric(8,2) NOT NULL, c9 bool NOT NULL, c10 int NOT NULL, c11 text NOT NULL, c12 date NOT NULL, c13 numeric(8,2) NOT NULL, c14 bool NOT NULL, c15 int NOT NULL, c16 text NOT NULL, c17 date NOT NULL, c18 numeric(8,2) NOT NULL, c19 bool NOT NULL, c20 int NOT NULL, c21 text NOT NULL, c22 date NOT NULL, c23 numeric(8,2) NOT NULL, c24 bool NOT NULL, c25 int NOT NULL, c26 text NOT NULL, c27 date NOT NULL, c28 numeric(8,2) NOT NULL, c29 bool NOT NULL, c30 int NOT NULL, c31 text NOT NULL, c32 date NOT NULL, c33 numeric(8,2) NOT NULL, c34 bool NOT NULL, c35 int NOT NULL, c36 text NOT NULL, c37 date NOT NULL, c38 numeric(8,2) NOT NULL, c39 bool NOT NULL, c40 int NOT NULL, c41 text NOT NULL, c42 date NOT NULL, c43 numeric(8,2) NOT NULL, c44 bool NOT NULL, c45 int NOT NULL, c46 text NOT NULL, c47 date NOT NULL, c48 numeric(8,2) NOT NULL, c49 bool NOT NULL, c50 int NOT NULL, c51 text NOT NULL, c52 date NOT NULL, c53 numeric(8,2) NOT NULL, c54 bool NOT NULL, c55 int NOT NULL, c56 text NOT NULL, c57 date NOT NULL, c58 numeric(8,2) NOT NULL, c59 bool NOT NULL, c60 int NOT NULL, c61 text NOT NULL, c62 date NOT NULL, c63 numeric(8,2) NOT NULL, c64 bool NOT NULL, c65 int NOT NULL, c66 text NOT NULL, c67 date NOT NULL, c68 numeric(8,2) NOT NULL, c69 bool NOT NULL, c70 int NOT NULL, c71 text NOT NULL, c72 date NOT NULL, c73 numeric(8,2) NOT NULL, c74 bool NOT NULL, c75 int NOT NULL, c76 text NOT NULL, c77 date NOT NULL, c78 numeric(8,2) NOT NULL, c79 bool NOT NULL, c80 int NOT NULL, c81 text NOT NULL, c82 date NOT NULL, c83 numeric(8,2) NOT NULL, c84 bool NOT NULL, c85 int NOT NULL, c86 text NOT NULL, c87 date NOT NULL, c88 numeric(8,2) NOT NULL, c89 bool NOT NULL, c90 int NOT NULL, c91 text NOT NULL, c92 date NOT NULL, c93 numeric(8,2) NOT NULL, c94 bool NOT NULL, c95 int NOT NULL, c96 text NOT NULL, c97 date NOT NULL, c98 numeric(8,2) NOT NULL, c99 bool NOT NULL, c100 int NOT NULL, c101 text NOT NULL, c102 date NOT NULL, c103 numeric(8,2) NOT NULL, c104 bool NOT NULL, c105 int NOT NULL, c106 text NOT NULL, c107 date NOT NULL, c108 numeric(8,2) NOT NULL, c109 bool NOT NULL, c110 int NOT NULL, c111 text NOT NULL, c112 date NOT NULL, c113 numeric(8,2) NOT NULL, c114 bool NOT NULL, c115 int NOT NULL, c116 text NOT NULL, c117 date NOT NULL, c118 numeric(8,2) NOT NULL, c119 bool NOT NULL, c120 int NOT NULL, c121 text NOT NULL, c122 date NOT NULL, c123 numeric(8,2) NOT NULL, c124 bool NOT NULL, c125 int NOT NULL, c126 text NOT NULL, c127 date NOT NULL, c128 numeric(8,2) NOT NULL, c129 bool NOT NULL, c130 int NOT NULL, c131 text NOT NULL, c132 date NOT NULL, c133 numeric(8,2) NOT NULL, c134 bool NOT NULL, c135 int NOT NULL, c136 text NOT NULL, c137 date NOT NULL, c138 numeric(8,2) NOT NULL, c139 bool NOT NULL, c140 int NOT NULL, c141 text NOT NULL, c142 date NOT NULL, c143 numeric(8,2) NOT NULL, c144 bool NOT NULL, c145 int NOT NULL, c146 text NOT NULL, c147 date NOT NULL, c148 numeric(8,2) NOT NULL, c149 bool NOT NULL, c150 int NOT NULL, c151 text NOT NULL, c152 date NOT NULL, c153 numeric(8,2) NOT NULL, c154 bool NOT NULL, c155 int NOT NULL, c156 text NOT NULL, c157 date NOT NULL, c158 numeric(8,2) NOT NULL, c159 bool NOT NULL, c160 int NOT NULL, c161 text NOT NULL, c162 date NOT NULL, c163 numeric(8,2) NOT NULL, c164 bool NOT NULL, c165 int NOT NULL, c166 text NOT NULL, c167 date NOT NULL, c168 numeric(8,2) NOT NULL, c169 bool NOT NULL, c170 int NOT NULL, c171 text NOT NULL, c172 date NOT NULL, c173 numeric(8,2) NOT NULL, c174 bool NOT NULL, c175 int NOT NULL, c176 text NOT NULL, c177 date NOT NULL, c178 numeric(8,2) NOT NULL, c179 bool NOT NULL, c180 int NOT NULL, c181 text NOT NULL, c182 date NOT NULL, c183 numeric(8,2) NOT NULL, c184 bool NOT NULL, c185 int NOT NULL, c186 text NOT NULL, c187 date NOT NULL, c188 numeric(8,2) NOT NULL, c189 bool NOT NULL, c190 int NOT NULL, c191 text NOT NULL, c192 date NOT NULL, c193 numeric(8,2) NOT NULL, c194 bool NOT NULL, c195 int NOT NULL, c196 text NOT NULL, c197 date NOT NULL, c198 numeric(8,2) NOT NULL, c199 bool NOT NULL, c200 int NOT NULL, c201 text NOT NULL, c202 date NOT NULL, c203 numeric(8,2) NOT NULL, c204 bool NOT NULL, c205 int NOT NULL, c206 text NOT NULL, c207 date NOT NULL, c208 numeric(8,2) NOT NULL, c209 bool NOT NULL, c210 int NOT NULL, c211 text NOT NULL, c212 date NOT NULL, c213 numeric(8,2) NOT NULL, c214 bool NOT NULL, c215 int NOT NULL, c216 text NOT NULL, c217 date NOT NULL, c218 numeric(8,2) NOT NULL, c219 bool NOT NULL, c220 int NOT NULL, c221 text NOT NULL, c222 date NOT NULL, c223 numeric(8,2) NOT NULL, c224 bool NOT NULL, c225 int NOT NULL, c226 text NOT NULL, c227 date NOT NULL, c228 numeric(8,2) NOT NULL, c229 bool NOT NULL, c230 int NOT NULL, c231 text NOT NULL, c232 date NOT NULL, c233 numeric(8,2) NOT NULL, c234 bool NOT NULL, c235 int NOT NULL, c236 text NOT NULL, c237 date NOT NULL, c238 numeric(8,2) NOT NULL, c239 bool NOT NULL, c240 int NOT NULL, c241 text NOT NULL, c242 date NOT NULL, c243 numeric(8,2) NOT NULL, c244 bool NOT NULL, c245 int NOT NULL, c246 text NOT NULL, c247 date NOT NULL, c248 numeric(8,2) NOT NULL, c249 bool NOT NULL, c250 int NOT NULL, c251 text NOT NULL, c252 date NOT NULL, c253 numeric(8,2) NOT NULL, c254 bool NOT NULL, c255 int NOT NULL, c256 text NOT NULL, c257 date NOT NULL, c258 numeric(8,2) NOT NULL, c259 bool NOT NULL, c260 int NOT NULL, c261 text NOT NULL, c262 date NOT NULL, c263 numeric(8,2) NOT NULL, c264 bool NOT NULL, c265 int NOT NULL, c266 text NOT NULL, c267 date NOT NULL, c268 numeric(8,2) NOT NULL, c269 bool NOT NULL, c270 int NOT NULL, c271 text NOT NULL, c272 date NOT NULL, c273 numeric(8,2) NOT NULL, c274 bool NOT NULL, c275 int NOT NULL, c276 text NOT NULL, c277 date NOT NULL, c278 numeric(8,2) NOT NULL, c279 bool NOT NULL, c280 int NOT NULL, c281 text NOT NULL, c282 date NOT NULL, c283 numeric(8,2) NOT NULL, c284 bool NOT NULL, c285 int NOT NULL, c286 text NOT NULL, c287 date NOT NULL, c288 numeric(8,2) NOT NULL, c289 bool NOT NULL, c290 int NOT NULL, c291 text NOT NULL, c292 date NOT NULL, c293 numeric(8,2) NOT NULL, c294 bool NOT NULL, c295 int NOT NULL, c296 text NOT NULL, c297 date NOT NULL, c298 numeric(8,2) NOT NULL, c299 bool NOT NULL);

-- Demands that are hard to keep: of each table some rows at least must be there.
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION btree_gist; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION isn; CREATE EXTENSION seg; CREATE EXTENSION lo;
CREATE SCHEMA n;
SET search_path = n, public;
-- exclusion constraints
CREATE TABLE ex1 (room int NOT NULL, during tstzrange NOT NULL, active boolean NOT NULL, EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (active));
CREATE TABLE ex2 (a int, b int, c text, EXCLUDE USING gist (a WITH =, b WITH <>));
CREATE TABLE ex3 (c circle, EXCLUDE USING gist (c WITH &&));
CREATE TABLE ex4 (room int, s timestamptz NOT NULL, e timestamptz NOT NULL CHECK (e > s), EXCLUDE USING gist (room WITH =, tstzrange(s, e) WITH &&));
CREATE TABLE ex5 (addr inet NOT NULL, EXCLUDE USING gist (addr inet_ops WITH &&));
CREATE TABLE ex6 (a int4range NOT NULL, CHECK (NOT isempty(a)), CHECK (lower(a) >= 0 AND upper(a) < 100000), EXCLUDE USING gist (a WITH -|-, a WITH &&));
CREATE TABLE ex7 (d daterange NOT NULL CHECK (lower_inc(d) AND NOT upper_inf(d)), k text NOT NULL, EXCLUDE USING gist (k WITH =, d WITH &&) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE ex8 (k text NOT NULL, EXCLUDE (k WITH =));
CREATE TABLE ex9 (b box NOT NULL, EXCLUDE USING gist (b WITH &&));
-- cycles
CREATE TABLE c1 (id int PRIMARY KEY, b int NOT NULL); CREATE TABLE c2 (id int PRIMARY KEY, c int NOT NULL); CREATE TABLE c3 (id int PRIMARY KEY, a int NOT NULL REFERENCES c1 DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE c1 ADD FOREIGN KEY (b) REFERENCES c2 DEFERRABLE INITIALLY DEFERRED; ALTER TABLE c2 ADD FOREIGN KEY (c) REFERENCES c3 DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE cu1 (id int PRIMARY KEY, other int NOT NULL UNIQUE); CREATE TABLE cu2 (id int PRIMARY KEY, other int NOT NULL UNIQUE REFERENCES cu1 (other));
ALTER TABLE cu1 ADD FOREIGN KEY (other) REFERENCES cu2 (other) DEFERRABLE;
CREATE TABLE cc1 (t int, id int, k text NOT NULL, PRIMARY KEY (t, id), UNIQUE (t, k)); CREATE TABLE cc2 (t int, id int, oid1 int NOT NULL, PRIMARY KEY (t, id), FOREIGN KEY (t, oid1) REFERENCES cc1);
ALTER TABLE cc1 ADD COLUMN o int NOT NULL, ADD FOREIGN KEY (t, o) REFERENCES cc2 DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE self1 (id int PRIMARY KEY, parent int NOT NULL REFERENCES self1);
CREATE TABLE self2 (id int PRIMARY KEY, parent int NOT NULL UNIQUE REFERENCES self2);
CREATE TABLE self3 (id int PRIMARY KEY, parent int REFERENCES self3 CHECK (parent <> id), depth int NOT NULL, CHECK ((parent IS NULL) = (depth = 0)));
CREATE TABLE self4 (a int, b int, pa int, pb int, PRIMARY KEY (a, b), FOREIGN KEY (pa, pb) REFERENCES self4 MATCH FULL);
-- partitions with composite fk
CREATE TABLE p1 (region text NOT NULL, day date NOT NULL, id int NOT NULL, PRIMARY KEY (region, day, id)) PARTITION BY LIST (region);
CREATE TABLE p1_eu PARTITION OF p1 FOR VALUES IN ('de', 'fr') PARTITION BY RANGE (day);
CREATE TABLE p1_eu_a PARTITION OF p1_eu FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE p1_eu_b PARTITION OF p1_eu FOR VALUES FROM ('2021-01-01') TO (MAXVALUE) PARTITION BY HASH (id);
CREATE TABLE p1_eu_b0 PARTITION OF p1_eu_b FOR VALUES WITH (modulus 2, remainder 0); CREATE TABLE p1_eu_b1 PARTITION OF p1_eu_b FOR VALUES WITH (modulus 2, remainder 1);
CREATE TABLE p1_d PARTITION OF p1 DEFAULT;
CREATE TABLE p2 (id bigint GENERATED ALWAYS AS IDENTITY, region text NOT NULL, day date NOT NULL, p_id int NOT NULL, FOREIGN KEY (region, day, p_id) REFERENCES p1, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE p2_a PARTITION OF p2 FOR VALUES FROM (MINVALUE) TO ('2020-07-01'); CREATE TABLE p2_b PARTITION OF p2 FOR VALUES FROM ('2020-07-01') TO ('2022-01-01'); CREATE TABLE p2_d PARTITION OF p2 DEFAULT;
CREATE TABLE p3 (at timestamptz NOT NULL, v int) PARTITION BY RANGE (date_trunc('day', at AT TIME ZONE 'UTC'));
CREATE TABLE p3_a PARTITION OF p3 FOR VALUES FROM ('2024-03-01') TO ('2024-03-02'); CREATE TABLE p3_b PARTITION OF p3 FOR VALUES FROM ('2024-03-02') TO ('2024-03-03');
CREATE TABLE p4 (a int NOT NULL, b int NOT NULL) PARTITION BY RANGE (a, b);
CREATE TABLE p4_a PARTITION OF p4 FOR VALUES FROM (1, 10) TO (1, 20); CREATE TABLE p4_b PARTITION OF p4 FOR VALUES FROM (1, 20) TO (5, 3); CREATE TABLE p4_c PARTITION OF p4 FOR VALUES FROM (5, 3) TO (5, MAXVALUE);
CREATE TABLE p5 (k text) PARTITION BY LIST (lower(k)); CREATE TABLE p5_a PARTITION OF p5 FOR VALUES IN ('a', 'b'); CREATE TABLE p5_n PARTITION OF p5 FOR VALUES IN (NULL);
CREATE TABLE p6 (id int NOT NULL, made timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, made)) PARTITION BY RANGE (made); CREATE TABLE p6_a PARTITION OF p6 FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2024-02-01 00:00+00');
ALTER TABLE p6_a ADD CHECK (id % 3 = 0);
-- domains
CREATE DOMAIN d1 AS int CHECK (VALUE > 10); CREATE DOMAIN d2 AS d1 CHECK (VALUE % 7 = 3) NOT NULL; CREATE DOMAIN d3 AS d2 DEFAULT 17 CHECK (VALUE < 1000);
CREATE DOMAIN dt AS text CHECK (VALUE ~ '^[a-z]+(-[a-z]+)*$' AND length(VALUE) <= 20); CREATE DOMAIN darr AS int[] CHECK (array_length(VALUE, 1) BETWEEN 2 AND 3); CREATE DOMAIN drng AS int4range CHECK (lower(VALUE) > 0);
CREATE FUNCTION luhn(t text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT length(t) = 5 AND t ~ '^[0-9]+$' $$;
CREATE DOMAIN dfun AS text CHECK (luhn(VALUE));
CREATE TABLE doms (a d3, b d2, c dt NOT NULL, d darr NOT NULL, e drng NOT NULL, f dfun NOT NULL, g d3[], h dt[] NOT NULL);
CREATE TYPE comp AS (x d1, y text, z numeric(4,1)); CREATE TABLE comps (c comp NOT NULL, cs comp[] NOT NULL, CHECK ((c).x IS NOT NULL));
CREATE TABLE comp2 (c comp NOT NULL CHECK ((c).z > 5));
-- column checks
CREATE TABLE ch1 (lo int NOT NULL, hi int NOT NULL, mid numeric NOT NULL, CHECK (lo < hi), CHECK (mid BETWEEN lo AND hi), CHECK (hi <= lo + 10));
CREATE TABLE ch2 (a text, b text, c text, CHECK ((a IS NOT NULL)::int + (b IS NOT NULL)::int + (c IS NOT NULL)::int = 1));
CREATE TABLE ch3 (kind smallint NOT NULL, a text, b int, CHECK (CASE kind WHEN 1 THEN a IS NOT NULL AND b IS NULL WHEN 2 THEN b IS NOT NULL ELSE false END));
CREATE TABLE ch4 (price numeric(10,2) NOT NULL, tax numeric(10,2) NOT NULL, total numeric(10,2) NOT NULL CHECK (total = price + tax), CHECK (tax = round(price * 0.19, 2)));
CREATE TABLE ch5 (s date NOT NULL, e date NOT NULL, CHECK (e - s BETWEEN 1 AND 30), CHECK (extract(dow FROM s) = 1));
CREATE TABLE ch6 (slug text NOT NULL CHECK (slug = lower(slug) AND slug !~ '\s' AND char_length(slug) BETWEEN 3 AND 10), sha bytea NOT NULL CHECK (octet_length(sha) = 20), bits bit varying(12) NOT NULL CHECK (length(bits) > 3), ip inet NOT NULL CHECK (family(ip) = 4 AND masklen(ip) = 32));
CREATE TABLE ch7 (lat double precision NOT NULL CHECK (lat >= -90 AND lat <= 90), lon double precision NOT NULL CHECK (abs(lon) <= 180), pct real CHECK (pct > 0 AND pct < 1), flags int NOT NULL CHECK (flags & 3 = 1));
CREATE TABLE ch8 (j jsonb NOT NULL CHECK (jsonb_typeof(j->'items') = 'array'), k json NOT NULL CHECK (k->>'type' = 'x'), l jsonb NOT NULL CHECK (j @> '{"v": 1}'));
CREATE TABLE ch9 (a int[] NOT NULL CHECK (a <@ ARRAY[1,2,3]), b text[] NOT NULL CHECK ('x' = ANY (b)), c text[] NOT NULL CHECK (cardinality(c) = 4), d text[] NOT NULL CHECK (b <> '{}'));
CREATE TABLE ch10 (month date NOT NULL CHECK (date_trunc('month', month) = month), y int NOT NULL CHECK (y = date_part('year', month)), phone text NOT NULL CHECK (phone SIMILAR TO '\+[0-9]{8,15}'), uid uuid NOT NULL CHECK (uid::text LIKE '%'));
CREATE TABLE ch11 (a int NOT NULL, b int NOT NULL, c int NOT NULL, CHECK (a + b = c), CHECK (a > b), CHECK (c < 100));
CREATE TABLE ch12 (a int, b int, CHECK (a IS NULL OR b IS NULL OR a < b), CHECK (NOT (a IS NULL AND b IS NULL)), CHECK (a IS DISTINCT FROM b));
CREATE TABLE ch13 (v text NOT NULL CHECK (v IN ('a','b') OR v ~ '^x[0-9]{3}$'), w char(2) NOT NULL CHECK (w = upper(w)), z text NOT NULL CHECK (left(z, 2) = 'ab'), q text NOT NULL CHECK (z <> q AND length(q) > length(z)));
CREATE TABLE ch14 (t text NOT NULL CHECK (t LIKE 'https://%' AND length(t) < 30), u text CHECK (u ~ '^(\d{1,3}\.){3}\d{1,3}$'), e text NOT NULL CHECK (position('@' in e) > 1), r text NOT NULL CHECK (starts_with(r, 'pre_')), s text NOT NULL CHECK (s ~ '\A[[:upper:]]\w{2,5}\Z'));
CREATE TABLE ch15 (amount money NOT NULL CHECK (amount > 0::money), iv interval NOT NULL CHECK (iv >= '1 hour' AND iv < '1 day'), tm time NOT NULL CHECK (tm BETWEEN '09:00' AND '17:00'), tz timetz NOT NULL, lsn pg_lsn NOT NULL CHECK (lsn > '0/10'), big numeric(30,10) NOT NULL CHECK (big > 100000000000000));
CREATE FUNCTION valid_code(t text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN t ~ '^[A-Z]{2}[0-9]{2}$'; END $$;
CREATE TABLE ch16 (code text NOT NULL CHECK (valid_code(code)));
CREATE TABLE ch17 (a int NOT NULL CHECK (a <> 0) CHECK (a % 2 = 0) CHECK (a BETWEEN -10 AND 10), y int CHECK (y >= date_part('year', now()) - 100));
-- uniques
CREATE TABLE u1 (a int, b int, active boolean NOT NULL DEFAULT true, deleted_at timestamptz); CREATE UNIQUE INDEX ON u1 (a) WHERE active; CREATE UNIQUE INDEX ON u1 (b) WHERE deleted_at IS NULL AND b > 5;
CREATE TABLE u2 (a text NOT NULL, b date NOT NULL, c timestamp NOT NULL, d jsonb NOT NULL); CREATE UNIQUE INDEX ON u2 (lower(a), date_part('year', b)); CREATE UNIQUE INDEX ON u2 ((c::date)); CREATE UNIQUE INDEX ON u2 ((d->>'id'));
CREATE TABLE u3 (a int, b int, UNIQUE NULLS NOT DISTINCT (a, b)); CREATE TABLE u4 (a int, UNIQUE NULLS NOT DISTINCT (a));
CREATE TABLE u5 (first text NOT NULL, last text NOT NULL, x int); CREATE UNIQUE INDEX ON u5 ((first || ' ' || last)); CREATE UNIQUE INDEX ON u5 (coalesce(x, -1));
CREATE TABLE u6 (e text NOT NULL); CREATE UNIQUE INDEX ON u6 (md5(e)); CREATE TABLE u7 (s text NOT NULL); CREATE UNIQUE INDEX ON u7 (left(s, 4));CREATE TABLE u8 (n numeric(3,1) UNIQUE NOT NULL, h hstore UNIQUE, l ltree UNIQUE, i interval UNIQUE, m money UNIQUE);
CREATE TABLE u9 (a smallint NOT NULL, b char(1) NOT NULL, PRIMARY KEY (a, b)); CREATE TABLE u10 (d date NOT NULL, tenant int NOT NULL REFERENCES self1, seq int NOT NULL, UNIQUE (tenant, seq), UNIQUE (d, tenant));
CREATE TABLE u11 (at timestamptz PRIMARY KEY, u uuid UNIQUE, c cidr UNIQUE, mc macaddr UNIQUE, b bytea UNIQUE, bt bit(10) UNIQUE, f float8 UNIQUE, t time UNIQUE);
-- identity / generated
CREATE TABLE g1 (id int GENERATED ALWAYS AS IDENTITY (START WITH -5 INCREMENT BY -2 MINVALUE -100000 MAXVALUE -1) PRIMARY KEY, w int NOT NULL, h int NOT NULL, area int GENERATED ALWAYS AS (w * h) STORED CHECK (area < 5000), UNIQUE (area));
CREATE TABLE g2 (a text NOT NULL, b text GENERATED ALWAYS AS (upper(a)) STORED PRIMARY KEY); CREATE TABLE g3 (b text NOT NULL REFERENCES g2 (b));
CREATE TABLE g4 (id smallserial PRIMARY KEY);
-- inheritance
CREATE TABLE base (id serial PRIMARY KEY, kind text NOT NULL CHECK (kind <> ''), CONSTRAINT noin CHECK (id > 0) NO INHERIT); CREATE TABLE child1 (extra int NOT NULL CHECK (extra > 3), UNIQUE (id)) INHERITS (base); CREATE TABLE child2 (CHECK (kind = 'two')) INHERITS (base); CREATE TABLE grand (PRIMARY KEY (id)) INHERITS (child1, child2); CREATE TABLE refs_base (b int NOT NULL REFERENCES base);
-- types
CREATE TYPE mood AS ENUM ('a b', 'c,d', 'e"f', 'g\h', '{i}', 'NULL');
CREATE TABLE t1 (m mood[] NOT NULL, mm mood[][] , c comp[] , tr tsrange NOT NULL, nr numrange[] , mr int4multirange NOT NULL, dmr datemultirange, x xml NOT NULL, xs xml[], ts tsvector NOT NULL, tq tsquery NOT NULL, mo money NOT NULL, vb bit varying NOT NULL, vb2 bit varying(3) NOT NULL, b7 bit(7) NOT NULL, lsn pg_lsn NOT NULL, jp jsonpath NOT NULL, nm name NOT NULL, ch "char" NOT NULL, o oid NOT NULL, rc regclass, rt regtype NOT NULL, rp regproc, x8 xid8, tid tid, xid xid, cid cid, iv interval year to month NOT NULL, iv2 interval second(2), tz timestamptz(3), n0 numeric(5,0), nn numeric(3,-2), ns numeric(2,4), ac aclitem, i13 isbn13, sg seg NOT NULL, cu cube NOT NULL, lq lquery, lt ltree NOT NULL, lta ltree[], hs hstore NOT NULL, e2 ean13 , l lo, ov oidvector, iv2v int2vector, poly polygon NOT NULL, pa path, li line, pgs pg_snapshot);
CREATE TYPE floatrange AS RANGE (subtype = float8, subtype_diff = float8mi); CREATE TYPE textrange AS RANGE (subtype = text); CREATE TYPE moodrange AS RANGE (subtype = mood); CREATE TYPE inetrange AS RANGE (subtype = inet);
CREATE TABLE t2 (f floatrange NOT NULL, t textrange NOT NULL, i inetrange NOT NULL, m moodrange NOT NULL, fm floatmultirange NOT NULL);
CREATE TYPE nested AS (c comp, m mood, arr int[], ts timestamptz); CREATE TABLE t3 (n nested NOT NULL, ns nested[] NOT NULL, row self1);
CREATE TABLE t4 OF comp; CREATE TABLE t5 (); CREATE TABLE t6 (LIKE ch1 INCLUDING ALL); CREATE UNLOGGED TABLE t7 (id int PRIMARY KEY);
CREATE TABLE "Q t" ("A b" int PRIMARY KEY, "select" text NOT NULL CHECK ("select" <> 'x'), "ünï" text NOT NULL, "a""q" int REFERENCES "Q t");
CREATE TYPE shell; CREATE TABLE t8 (a int[3] NOT NULL, b text[][] NOT NULL, c varchar(3)[] NOT NULL, d numeric(4,2)[] NOT NULL, e char(2)[] NOT NULL, f timestamp(0)[] , g bit(3)[] NOT NULL, h json[], i bytea[] NOT NULL, j point[] NOT NULL, k box[] NOT NULL);
DROP TYPE shell;
CREATE TABLE trig (id int PRIMARY KEY, v int NOT NULL); CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'boom'; END $$; CREATE CONSTRAINT TRIGGER ct AFTER INSERT ON trig DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION boom(); CREATE TRIGGER tb BEFORE INSERT ON trig FOR EACH ROW EXECUTE FUNCTION boom(); ALTER TABLE trig ENABLE REPLICA TRIGGER tb;
CREATE TABLE nn (a int NOT NULL DEFAULT NULL, b timestamptz NOT NULL DEFAULT now(), c text NOT NULL DEFAULT ('x' || 1), d int CHECK (d IS NOT NULL));
CREATE TABLE fkset (a int REFERENCES self1 ON DELETE SET NULL, b int NOT NULL REFERENCES c1 (id), CHECK (a = b OR a IS NULL));
CREATE TABLE fkpart (k text NOT NULL UNIQUE CHECK (k ~ '^K[0-9]{4}$')); CREATE TABLE fkuse (k text NOT NULL REFERENCES fkpart (k), n int NOT NULL CHECK (n BETWEEN 1 AND 12), PRIMARY KEY (k, n));
CREATE TABLE m2m (a int REFERENCES self1, b int REFERENCES c1, c int REFERENCES c2, PRIMARY KEY (a, b, c)); CREATE TABLE m2m2 (a int REFERENCES self1, b int REFERENCES self1, PRIMARY KEY (a, b), CHECK (a < b));
CREATE TABLE one1 (id int PRIMARY KEY REFERENCES self1, CHECK (id > 0)); CREATE TABLE sub1 (id int PRIMARY KEY, type text NOT NULL CHECK (type IN ('x', 'y')), UNIQUE (id, type)); CREATE TABLE sub_x (id int PRIMARY KEY, type text NOT NULL DEFAULT 'x' CHECK (type = 'x'), FOREIGN KEY (id, type) REFERENCES sub1 (id, type));
CREATE TABLE sub_g (id int PRIMARY KEY, type text NOT NULL GENERATED ALWAYS AS ('y'::text) STORED, FOREIGN KEY (id, type) REFERENCES sub1 (id, type));

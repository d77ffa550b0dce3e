-- Indexes: what they are on and whether they are valid (PostgreSQL manual, 52.26).
SELECT
    t.indrelid, t.indisunique, t.indisprimary, t.indisvalid, t.indisready, t.indisreplident, t.indisclustered,
    pg_catalog.hashtextextended(ROW(t.indnkeyatts, t.indisexclusion, t.indimmediate, t.indkey, t.indcollation, t.indclass,
        t.indoption, t.indexprs, t.indpred)::pg_catalog.text, 0)
FROM pg_catalog.pg_index AS t
WHERE t.indexrelid >= 16384

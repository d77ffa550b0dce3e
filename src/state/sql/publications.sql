-- Publications (PostgreSQL manual, 52.40).
SELECT
    t.pubname, t.pubowner, t.puballtables, t.pubinsert, t.pubupdate, t.pubdelete, t.pubtruncate, t.pubviaroot
FROM pg_catalog.pg_publication AS t
WHERE true

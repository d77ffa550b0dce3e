-- What each of them may do with everything else, as far as that was given to it or to a group that it is in: what
-- everybody may is nobody's duty.
SELECT
    l.name AS role, o.kind, o.name, pg_catalog.array_agg(DISTINCT a.privilege_type ORDER BY a.privilege_type) AS privileges
FROM (
    SELECT 'schema', s.name::pg_catalog.text, s.acl, pg_catalog.acldefault('n', s.owner) FROM pg_temp.schemas AS s
    UNION ALL
    SELECT 'database', d.datname, d.datacl, NULL
    FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()
    UNION ALL
    SELECT 'type', t.oid::pg_catalog.regtype::pg_catalog.text, t.typacl, NULL FROM pg_catalog.pg_type AS t
    UNION ALL
    SELECT 'language', g.lanname, g.lanacl, NULL FROM pg_catalog.pg_language AS g
    UNION ALL
    SELECT 'server', f.srvname, f.srvacl, NULL FROM pg_catalog.pg_foreign_server AS f
    UNION ALL
    SELECT 'foreign_data_wrapper', w.fdwname, w.fdwacl, NULL FROM pg_catalog.pg_foreign_data_wrapper AS w
    UNION ALL
    SELECT 'tablespace', t.spcname, t.spcacl, NULL FROM pg_catalog.pg_tablespace AS t
) AS o (kind, name, acl, standard)
CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(o.acl, o.standard)) AS a
JOIN pg_temp.logins AS l
    ON a.grantee <> 0 AND CASE
        WHEN l.super THEN a.grantee = l.oid
        ELSE pg_catalog.pg_has_role(l.oid, a.grantee, 'USAGE')
    END
-- Who may connect shows when a session is opened.
WHERE a.privilege_type <> 'CONNECT'
GROUP BY l.name, o.kind, o.name
ORDER BY l.name, o.kind, o.name

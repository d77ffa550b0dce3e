-- The roles that each of them can become.
SELECT l.name AS role, g.rolname AS name
FROM pg_catalog.pg_auth_members AS m
JOIN pg_temp.logins AS l ON l.oid = m.member
JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
GROUP BY l.name, g.rolname
ORDER BY l.name, g.rolname

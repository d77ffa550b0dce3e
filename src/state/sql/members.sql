-- Who is a member of which role (PostgreSQL manual, 52.9). Whether it inherits stands with the role until 16.
SELECT
    t.admin_option,
    t.inherit_option, t.set_option -- 16+
    NULL, NULL -- <16
FROM pg_catalog.pg_auth_members AS t
WHERE true

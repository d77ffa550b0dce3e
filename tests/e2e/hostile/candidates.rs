//! The table of hostile candidates, and what must come of each.

use crate::support::Backend;

/// One candidate.
pub struct Candidate {
    pub name: &'static str,
    /// A script of psql, or an executable where it begins with `#!`.
    pub script: &'static str,
    /// Lines of the rehearsal file before the script's.
    pub clone: &'static str,
    /// Seconds that each run may take.
    pub timeout: u32,
    pub runs: usize,
    pub exit: i32,
    /// How each run ends.
    pub ends: &'static [&'static str],
    /// What the report for people says, among other things.
    pub says: &'static [&'static str],
    /// More of the command line.
    pub options: &'static [&'static str],
    /// The backend that it is for, if not for all.
    pub only: Option<Backend>,
}

/// One that fails the check in a run that ends by itself.
const ENDS: Candidate = Candidate {
    name: "",
    script: "",
    clone: "",
    timeout: 60,
    runs: 1,
    exit: 1,
    ends: &["succeeded"],
    says: &[],
    options: &[],
    only: None,
};

/// One that must be ended.
const ENDLESS: Candidate =
    Candidate { timeout: 3, ends: &["timed_out"], says: &["was killed at its timeout"], ..ENDS };

/// What a script does by SQL alone, it does to the same server wherever that runs.
const SQL: Option<Backend> = Some(Backend::Local);

/// Both automations are broken.
const BOTH: &[&str] = &["importer", "reader", "BROKEN"];

pub const CANDIDATES: &[Candidate] = &[
    // Processes.
    Candidate {
        name: "fork_bomb",
        script: "#!/bin/bash\nbomb() { bomb | bomb & }\nbomb\nwhile :; do :; done\n",
        runs: 2,
        ends: &["timed_out", "timed_out"],
        // Once it has all the processes that it may have, it goes on to ask for more: other tests need the machine, too.
        options: &["--no-replay"],
        ..ENDLESS
    },
    Candidate {
        name: "fork_bomb_that_escapes_its_process_group",
        script: "#!/bin/bash\nsetsid bash -c 'while :; do sleep 1000 & done' &\nsleep 1000\n",
        runs: 2,
        ends: &["timed_out"],
        ..ENDLESS
    },
    Candidate {
        // None is left for whoever would kill them.
        name: "all_the_processes_that_there_may_be",
        script: "#!/bin/bash\nwhile :; do sleep 1000 & done\n",
        runs: 2,
        ends: &["timed_out", "timed_out"],
        ..ENDLESS
    },
    Candidate {
        name: "fork_bomb_of_the_server",
        script: "COPY (SELECT 1) TO PROGRAM 'while :; do sleep 1000 & done';\n",
        timeout: 3,
        // Its shell may give up before.
        ends: &[],
        says: &["the script failed"],
        ..ENDS
    },
    Candidate {
        name: "kills_all_that_it_can",
        script: "#!/bin/bash\nkill -9 -1\nkill -9 $PPID\n",
        runs: 2,
        ends: &["failed", "failed"],
        says: &["the script failed in runs 1 and 2"],
        ..ENDS
    },
    Candidate {
        name: "floods_the_table_of_processes",
        script: "#!/bin/bash\nfor i in $(seq 5000); do (true & true); done\n\
                 zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '); [ $zombies -lt 1000 ] || { echo $zombies; exit 1; }\n",
        timeout: 120,
        exit: 0,
        ..ENDS
    },
    Candidate {
        name: "stops_what_watches_it",
        script: "#!/bin/bash\nkill -STOP $PPID 2>/dev/null\nsleep 1000\n",
        ..ENDLESS
    },
    Candidate { name: "sleeps_forever", script: "SELECT pg_sleep(1e8);\n", ..ENDLESS },
    Candidate {
        name: "ignores_signals",
        script: "#!/bin/bash\ntrap '' TERM INT HUP\n(trap '' TERM; sleep 1000) &\nwhile :; do sleep 1000; done\n",
        ..ENDLESS
    },
    // Memory.
    Candidate {
        name: "memory_hog",
        script: "#!/bin/bash\nhead -c 9G /dev/zero | tail -c 9G >/dev/null\nexit ${PIPESTATUS[1]}\n",
        // A busy machine may not get there.
        ends: &[],
        says: &["the script failed"],
        ..ENDS
    },
    Candidate {
        name: "memory_hog_in_sql",
        script: "DO $$ DECLARE all_of_it text[]; BEGIN FOR i IN 1 .. 1000 LOOP all_of_it[i] := repeat('x', 100000000); END LOOP; END $$;\n",
        timeout: 20,
        // A busy machine may not get there.
        ends: &[],
        says: &["the script failed"],
        ..ENDS
    },
    // Output.
    Candidate { name: "flood_of_output", script: "#!/bin/bash\nyes flood & yes flood >&2\n", ..ENDLESS },
    Candidate {
        name: "flood_of_notices",
        script: "DO $$ BEGIN LOOP RAISE NOTICE 'flood'; END LOOP; END $$;\n",
        ..ENDLESS
    },
    Candidate {
        name: "flood_of_the_servers_log",
        script: "DO $$ BEGIN LOOP RAISE LOG '%', repeat('flood', 1000); END LOOP; END $$;\n",
        ..ENDLESS
    },
    Candidate {
        name: "flood_of_rows",
        script: "SELECT repeat('flood', 20) FROM generate_series(1, 1000000000);\n",
        ..ENDLESS
    },
    Candidate { name: "flood_of_statements", script: "#!/bin/bash\nyes 'SELECT 1;' | psql -Xq\n", ..ENDLESS },
    // Disk.
    Candidate {
        name: "disk_filler_in_sql",
        script: "CREATE UNLOGGED TABLE fill (x text);\nALTER TABLE fill ALTER x SET STORAGE EXTERNAL;\n\
                 INSERT INTO fill SELECT repeat('x', 10000000) FROM generate_series(1, 1000);\n",
        timeout: 600,
        ends: &["failed"],
        says: &["No space left on device"],
        only: Some(Backend::Docker),
        ..ENDS
    },
    Candidate {
        name: "disk_filler",
        script: "#!/bin/bash\nstatus=0\nfor place in \"$HOME\" /tmp /var/tmp /run /rehearsal /var/lib /etc; do\n\
                 for n in 1 2 3 4 5 6; do head -c 3G /dev/zero > $place/fill.$n; done 2>/dev/null\n\
                 size=$(du -sm $place 2>/dev/null | cut -f1); [ \"${size:-0}\" -lt 1100 ] || [ $place = /var/lib ] || { echo \"$place $size\"; status=3; }\ndone\nexit $status\n",
        timeout: 120,
        exit: 0,
        only: Some(Backend::Docker),
        ..ENDS
    },
    Candidate {
        name: "disk_filler_of_the_server",
        script: "COPY (SELECT 1) TO PROGRAM 'for place in /tmp /run/thirdrun /var/lib/postgresql /usr/local/share; do for n in 1 2 3 4 5 6; do \
                 head -c 3G /dev/zero > $place/fill.$n; done; done 2>/dev/null; [ $(du -sm /run/thirdrun | cut -f1) -lt 10 ]';\n",
        timeout: 120,
        exit: 0,
        only: Some(Backend::Docker),
        ..ENDS
    },
    // The server.
    Candidate {
        name: "kills_the_server",
        script: "COPY (SELECT 1) TO PROGRAM 'kill -9 $(head -1 postmaster.pid)';\n",
        ends: &[],
        says: BOTH,
        ..ENDS
    },
    Candidate {
        name: "kills_all_that_the_server_can",
        script: "COPY (SELECT 1) TO PROGRAM 'kill -9 -1';\n",
        ends: &[],
        says: BOTH,
        ..ENDS
    },
    Candidate {
        name: "stops_the_server_in_good_order",
        script: "COPY (SELECT 1) TO PROGRAM 'kill -INT $(head -1 postmaster.pid)';\n",
        ends: &[],
        says: BOTH,
        ..ENDS
    },
    Candidate {
        name: "freezes_the_server",
        // A program that ends before it was sent its row makes the statement fail.
        script: "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; kill -STOP $(head -1 postmaster.pid)';\n",
        says: BOTH,
        ..ENDS
    },
    Candidate {
        name: "removes_the_servers_files",
        script: "COPY (SELECT 1) TO PROGRAM 'rm -rf base global pg_wal';\n",
        ends: &[],
        says: BOTH,
        ..ENDS
    },
    Candidate {
        name: "drops_the_database",
        script: "\\c postgres\nDROP DATABASE app WITH (FORCE);\n",
        says: &["importer", "reader", "BROKEN", "DROP DATABASE app"],
        ..ENDS
    },
    Candidate {
        name: "connection_flood",
        script: "#!/bin/bash\nfor i in $(seq 40); do setsid psql -Xqc 'SELECT pg_sleep(1000)' >/dev/null 2>&1 & done\n\
                 until psql -Xqc 'SELECT 1' 2>&1 | grep -q 'too many clients'; do :; done\n",
        clone: "[clone]\nsettings = { max_connections = 25 }\n",
        timeout: 60,
        says: &["53300"],
        ..ENDS
    },
    // Settings.
    Candidate {
        name: "alter_system_statement_timeout",
        script: "ALTER SYSTEM SET statement_timeout = 1;\nSELECT pg_reload_conf();\n",
        // On a fast machine a millisecond is enough for the others.
        clone: "[[worker]]\nname = 'sleeper'\nrole = 'svc_reader'\nsession = 'fresh'\nsql = 'SELECT pg_sleep(0.05)'\n",
        ends: &[],
        says: &["sleeper", "57014", "ALTER SYSTEM"],
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "alter_system_that_keeps_everybody_out",
        script: "ALTER SYSTEM SET session_preload_libraries = 'no such library';\nSELECT pg_reload_conf();\n",
        says: &["reader", "58P01", "ALTER SYSTEM"],
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "alter_system_read_only",
        script: "ALTER SYSTEM SET default_transaction_read_only = on;\nSELECT pg_reload_conf();\n",
        says: &["importer", "25006", "ALTER SYSTEM"],
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "closes_the_door",
        script: "SHOW hba_file \\gset\nCOPY (SELECT 'local all all reject') TO PROGRAM 'cat > \"$(dirname \"$PGDATA/.\")/pg_hba.conf\" || cat > pg_hba.conf';\nSELECT pg_reload_conf();\n",
        ends: &[],
        says: &["reader", "BROKEN"],
        only: Some(Backend::Local),
        ..ENDS
    },
    // Roles.
    Candidate {
        name: "drops_the_workers_roles",
        script: "DROP OWNED BY svc_import, svc_reader;\nDROP ROLE svc_import, svc_reader;\n",
        says: &["importer", "reader", "DROP ROLE svc_import, svc_reader"],
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "drops_thirdruns_own_role",
        script: "DROP ROLE thirdrun;\nREVOKE SELECT ON public.orders FROM svc_reader;\n",
        ends: &[],
        says: &["reader", "BROKEN"],
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "locks_thirdruns_own_role",
        script: "ALTER ROLE thirdrun NOLOGIN NOSUPERUSER;\nREVOKE SELECT ON public.orders FROM svc_reader;\n",
        ends: &[],
        says: &["reader", "BROKEN"],
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "slows_thirdruns_own_role",
        script: "ALTER ROLE thirdrun SET statement_timeout = 1;\nALTER ROLE thirdrun SET search_path = evil;\nREVOKE SELECT ON public.orders FROM svc_reader;\n",
        says: &["reader", "BROKEN", "REVOKE SELECT ON public.orders FROM svc_reader"],
        only: SQL,
        ..ENDS
    },
    // What everybody uses.
    Candidate {
        name: "vandalizes_the_catalogs",
        script: "SET allow_system_table_mods = on;\nDELETE FROM pg_catalog.pg_proc;\nDELETE FROM pg_catalog.pg_operator;\nDELETE FROM pg_catalog.pg_class WHERE relname = 'orders';\n",
        ends: &[],
        says: BOTH,
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "revokes_the_systems_own_functions",
        script: "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM PUBLIC;\nREVOKE ALL ON ALL TABLES IN SCHEMA pg_catalog FROM PUBLIC;\n",
        says: &["reader", "BROKEN"],
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "shadows_the_systems_own_functions",
        script: "CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''shadow''; END';\n\
                 CREATE FUNCTION public.count(text) RETURNS bigint LANGUAGE sql AS 'SELECT 1';\n\
                 ALTER DATABASE app SET search_path = public, pg_catalog;\n",
        exit: 0,
        only: SQL,
        ..ENDS
    },
    Candidate {
        name: "event_trigger_at_login",
        script: "CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''nobody gets in''; END';\n\
                 CREATE EVENT TRIGGER no ON login EXECUTE FUNCTION public.no();\nALTER EVENT TRIGGER no ENABLE ALWAYS;\n",
        clone: "[clone]\npostgres = '17'\n",
        says: &["reader", "nobody gets in"],
        only: Some(Backend::Docker),
        ..ENDS
    },
    // What reads the script and its report.
    Candidate { name: "includes_what_has_no_end", script: "\\i /dev/zero\n", ..ENDLESS },
    Candidate { name: "includes_itself", script: "\\ir s.sql\n\\ir s.sql\n", timeout: 20, ends: &[], ..ENDS },
    Candidate {
        name: "writes_commands_for_terminals_and_ci_servers",
        script: "DO $$ BEGIN RAISE EXCEPTION E'a\\n::error file=README.md::forged\\n\\x1b[2J\\x1b]0;forged\\x07'; END $$;\n",
        ends: &["failed"],
        says: &["the script failed"],
        ..ENDS
    },
];

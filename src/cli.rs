//! The command line: clap's types and nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::plan::HazardName;
use crate::sandbox::BackendChoice;

/// Rehearse a database script before production does.
///
/// thirdrun builds a throw-away PostgreSQL from your schema and roles dumps, starts your automations as
/// workers under their real roles, runs the script again and again, and says after every run which
/// automations still work.
#[derive(Debug, Parser)]
#[command(name = "thirdrun", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 pass, 1 an automation broke or the script failed, 2 usage, 3 a worker \
fails even before the first run, 4 no server or no clone, 70 a defect of thirdrun, 130 interrupted."
)]
pub struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Colours,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colours {
    /// On terminals, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a script again and again against a clone with your automations at work
    Check(Box<CheckArgs>),
    /// Read a live database, without touching it, and write what a clone of it needs
    ///
    /// It needs psql, pg_dump and pg_dumpall of the server's major version or a newer one, which connect as they always
    /// do: a password may also come from PGPASSWORD or ~/.pgpass, and everything else from a service file or PG*
    /// variables. A password in the URL shows in this machine's list of processes while thirdrun runs.
    ///
    /// Nothing is written to the database, no table is read, and no lock is waited for longer than two seconds. While
    /// pg_dump runs it holds ACCESS SHARE locks: an ALTER or DROP of a table waits for it, and whoever needs that table
    /// next waits behind that one. An ordinary role will do: what it may not see is left out, and said.
    ///
    /// Passwords of roles are not read, and other secrets in the schema are masked; the bodies of functions and views
    /// are written as they are.
    Capture(CaptureArgs),
    /// Keep a sandbox up with its workers at work, and show at once what becomes of them
    ///
    /// What you do by hand in psql shows in the table. It ends with Ctrl-C.
    Up(UpArgs),
    /// Write a rehearsal file for the dumps in a directory, with a worker for each role that can log in
    Init(InitArgs),
    /// Propose a [[worker]] entry for each role that can log in: what it can do, as steps that leave no trace
    ///
    /// Each step has been tried in a clone, as that role. What could not be made to work is left out, and said in a
    /// comment. `check` does the same by itself where no worker is written.
    Workers(WorkersArgs),
    /// Render a saved report again, without a database
    Report(ReportArgs),
    /// Replay a recorded outage, and say whether what it records happens again
    ///
    /// An incident is a directory whose rehearsal file has a [[run]] entry for each run, with what came of it: fails =
    /// true where the script itself failed, and breaks = ["worker", …] where it broke automations; or a bundle that
    /// `thirdrun check --save-incident` has written.
    ///
    /// It exits with 0 when exactly these runs fail and break exactly these workers (broken, latent, or stalled longer
    /// than they may), and else with 1 and says how it differed. Of a bundle, the status of every worker after every
    /// run, SQLSTATEs and the statements that are blamed are compared too.
    Reproduce(ReproduceArgs),
    /// See it happen: an outage in three runs, or another one of the bundled library
    ///
    /// Each outage of the library is a rehearsal of its own: a database, automations, the scripts that broke them, and the
    /// one that reaches the same and breaks nothing. Without a name it is the outage of which thirdrun was made.
    Demo(DemoArgs),
    /// Say what can be used here, and how to get what is missing
    Doctor(DoctorArgs),
    /// Remove what killed processes of thirdrun have left behind
    Gc(GcArgs),
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The script: an .sql file for psql, or any executable; several are several rehearsals, each on its own clone
    #[arg(value_name = "SCRIPT")]
    pub scripts: Vec<PathBuf>,
    /// The rehearsal file [default: thirdrun.toml in this or a parent directory]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A schema dump (pg_dump --schema-only, in any format); repeat it to apply several in order
    #[arg(long, value_name = "FILE")]
    pub schema: Vec<PathBuf>,
    /// A roles dump (pg_dumpall --roles-only); repeat it to apply several in order
    #[arg(long, value_name = "FILE")]
    pub roles: Vec<PathBuf>,
    /// How often the script runs [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: Option<u32>,
    /// How often it runs at most while its runs still change something [default: 5, or as many as --runs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_runs: Option<u32>,
    /// What is looked for beyond the runs, separated by commas [default: all, but those that need copies of the clone
    /// only where no worker is broken]
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub hazards: Vec<HazardName>,
    /// The database role that runs the script [default: postgres]
    #[arg(long = "as", value_name = "ROLE")]
    pub role: Option<String>,
    /// Seed of the synthetic rows [default: 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// PostgreSQL's major version; several, separated by commas, rehearse each script on each of them [default: the one
    /// that the dump came from]
    #[arg(long, value_name = "MAJOR", value_parser = major, value_delimiter = ',')]
    pub postgres: Vec<u32>,
    /// How many scripts are rehearsed at the same time [default: half as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// Only rehearse the scripts that differ from what this branch or commit has (all of them, if the rehearsal file or
    /// what it names differs)
    #[arg(long, value_name = "REF")]
    pub changed_since: Option<String>,
    /// If the check fails, save it as a bundle for `thirdrun reproduce`: dumps, roles, workers, scripts, runs, seed,
    /// versions and report, with made-up passwords; nothing is overwritten
    #[arg(long, value_name = "FILE")]
    pub save_incident: Option<PathBuf>,
    /// Where and how
    #[command(flatten)]
    pub running: RunningArgs,
}

fn major(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(major @ 13..=99) => Ok(major),
        _ => Err("it must be a major version of PostgreSQL from 13 on, such as 17".to_owned()),
    }
}

/// Options of `capture`.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// The database, as psql's -d takes it: a URL, "host=… dbname=…", or a name
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The directory to write: a new one, or an empty one
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The directory of `pg_dump` and `psql` [default: where they are usually installed]
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// Let the planner's statistics hold the most common values and the histogram of each column, which are values
    /// of real rows; PostgreSQL 18 and newer
    #[arg(long)]
    pub sample_values: bool,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub timeout: humantime::Duration,
    /// Print nothing but notes on what was not captured, and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Options of every command that has a clone and runs no script.
#[derive(Debug, Clone, Args)]
pub struct CloneArgs {
    /// Where the sandbox runs
    #[arg(long, value_name = "BACKEND", default_value = "auto")]
    pub backend: BackendChoice,
    /// PostgreSQL's major version [default: the one that the dump came from]
    #[arg(long, value_name = "MAJOR", value_parser = major)]
    pub postgres: Option<u32>,
    /// The directory of `postgres` and `initdb`, for the local backend
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// Make the clone anew, and do not keep it for the next time
    #[arg(long, env = "THIRDRUN_NO_CACHE", value_parser = clap::builder::BoolishValueParser::new())]
    pub no_cache: bool,
}

/// Options of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The rehearsal file [default: thirdrun.toml in this or a parent directory]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A schema dump (pg_dump --schema-only, in any format); repeat it to apply several in order
    #[arg(long, value_name = "FILE")]
    pub schema: Vec<PathBuf>,
    /// A roles dump (pg_dumpall --roles-only); repeat it to apply several in order
    #[arg(long, value_name = "FILE")]
    pub roles: Vec<PathBuf>,
    /// Seed of the synthetic rows [default: 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where and how
    #[command(flatten)]
    pub clone: CloneArgs,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Where the dumps are looked for, and where thirdrun.toml goes
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Print the JSON Schema of rehearsal files instead, for editors
    #[arg(long)]
    pub schema: bool,
    /// Where and how
    #[command(flatten)]
    pub clone: CloneArgs,
    /// Print nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Options of `workers`.
#[derive(Debug, Args)]
pub struct WorkersArgs {
    /// A directory that `capture` has written, or one with schema.sql and roles.sql [default: the rehearsal file in this or
    /// a parent directory]
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Statements that the roles have run: capture's statements.json, pg_stat_statements as CSV with the columns role, query
    /// and calls, or a server's log in csvlog or jsonlog format [default: statements.json, where there is one]
    #[arg(long, value_name = "FILE")]
    pub statements: Option<PathBuf>,
    /// Let a role whose statements are known do all that it may besides
    #[arg(long)]
    pub privileges: bool,
    /// Where the entries go, instead of standard output: a new file
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where and how
    #[command(flatten)]
    pub clone: CloneArgs,
    /// Print nothing but the entries, and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Options of `reproduce`.
#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// The incident: a directory with a rehearsal file, or a bundle
    #[arg(value_name = "INCIDENT")]
    pub incident: PathBuf,
    /// Make it as small as it can be: leave out workers, runs, statements of the scripts, rows, settings and statements
    /// of the dumps, as long as the worker that broke first still breaks in the same way; each try is a rehearsal
    #[arg(long, conflicts_with = "keep")]
    pub minimize: bool,
    /// Write what --minimize leaves: a bundle where the name ends in .thirdrun, else a new directory
    #[arg(long, value_name = "FILE_OR_DIR", requires = "minimize")]
    pub out: Option<PathBuf>,
    /// How many rehearsals --minimize may make
    #[arg(long, value_name = "N", requires = "minimize", default_value_t = 500)]
    pub max_rehearsals: usize,
    /// PostgreSQL's major version [default: that of the incident]
    #[arg(long, value_name = "MAJOR", value_parser = major)]
    pub postgres: Option<u32>,
    /// Where and how
    #[command(flatten)]
    pub running: RunningArgs,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// An outage of the library, as --list names it [default: founding-outage]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// List the library: the name of each outage, whom it breaks, what happened
    #[arg(long, conflicts_with_all = ["name", "safe", "story", "write", "format", "output", "keep"])]
    pub list: bool,
    /// Rehearse the script that reaches the same aim and breaks nothing
    #[arg(long, conflicts_with_all = ["story", "write"])]
    pub safe: bool,
    /// Tell the story instead of running it: what happened, why, what mends it, what avoids it
    #[arg(long, conflicts_with_all = ["write", "format", "output", "keep"])]
    pub story: bool,
    /// Write the files into this new directory instead of running them
    #[arg(long, value_name = "DIR", conflicts_with_all = ["format", "output", "keep"])]
    pub write: Option<PathBuf>,
    /// Where and how
    #[command(flatten)]
    pub running: RunningArgs,
}

/// Options of every command that rehearses.
#[derive(Debug, Clone, Args)]
pub struct RunningArgs {
    /// Where the sandbox runs
    #[arg(long, value_name = "BACKEND", default_value = "auto")]
    pub backend: BackendChoice,
    /// The directory of `postgres` and `initdb`, for the local backend
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// What the report looks like; repeat it for several, each with its --output
    #[arg(long, value_name = "FORMAT")]
    pub format: Vec<Format>,
    /// Where the report goes, instead of standard output; the first one belongs to the first --format
    #[arg(long, value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Make the clone anew, and do not keep it for the next time
    #[arg(long, env = "THIRDRUN_NO_CACHE", value_parser = clap::builder::BoolishValueParser::new())]
    pub no_cache: bool,
    /// Do not replay the rehearsal to find the statement that broke a worker, and what mends it
    #[arg(long)]
    pub no_replay: bool,
    /// Leave the sandbox up after a failure until Ctrl-C, and print how to connect
    #[arg(long)]
    pub keep: bool,
    /// Print nothing but the reports that --format asks for, and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// Forms of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person at a terminal.
    Human,
    /// The whole report, for programs.
    Json,
    /// JUnit XML: a suite for each script, a case for each worker and run.
    Junit,
    /// A comment for a pull request.
    Markdown,
    /// One page that needs no network.
    Html,
    /// Annotations for GitHub Actions; the Markdown goes to the job's summary.
    Github,
    /// GitLab's code quality report.
    Gitlab,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A report that --format json has written; - is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What it looks like; repeat it for several, each with its --output [default: human]
    #[arg(long, value_name = "FORMAT")]
    pub format: Vec<Format>,
    /// Where it goes, instead of standard output; the first one belongs to the first --format
    #[arg(long, value_name = "FILE")]
    pub output: Vec<PathBuf>,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Look for PostgreSQL in this directory too
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// Build the images of PostgreSQL 13, 15, 17 and 18 where Docker has none (from Debian's packages, as root)
    #[arg(long)]
    pub fix: bool,
}

/// Options of `gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Remove what is cached, too, unless it was used in this time: 30d, 12h, 0s
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<humantime::Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}

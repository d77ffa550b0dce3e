//! Throughput of pgbench through the tap, against a bare byte relay and against the server itself, interleaved.
//!
//! usage: cargo bench --bench tap [-- ROUNDS SECONDS]     without: 5 rounds of 2 seconds each

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use thirdrun::postgres::{Endpoint, Server};
use thirdrun::sandbox::{BackendChoice, Sandbox, SandboxPlan, Scope};
use thirdrun::tap::{Orders, Tap};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;
use tokio::time::Instant;

/// The database of pgbench's tables.
const DATABASE: &str = "postgres";
/// How often a run ends and another begins, so that all statements are recorded: a run keeps 20,000.
const RUN: Duration = Duration::from_millis(200);
/// What pgbench does, and with how many clients.
const LOADS: [(&str, &[&str]); 5] = [
    ("select, simple, 1 client", &["-S", "-M", "simple", "-c", "1"]),
    ("select, simple, 4 clients", &["-S", "-M", "simple", "-c", "4"]),
    ("select, prepared, 1 client", &["-S", "-M", "prepared", "-c", "1"]),
    ("select, prepared, 4 clients", &["-S", "-M", "prepared", "-c", "4"]),
    ("TPC-B-like, extended, 4 clients", &["-N", "-M", "extended", "-c", "4"]),
];

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let rounds = numbers.first().copied().unwrap_or(5);
    let seconds = numbers.get(1).copied().unwrap_or(2);
    let Some(pgbench) = pgbench() else {
        println!("pgbench is not here; on Debian: sudo apt-get install postgresql");
        return;
    };
    tokio::runtime::Runtime::new().unwrap().block_on(bench(&pgbench, rounds, &seconds.to_string()));
}

/// The program, on PATH or where Debian has it.
fn pgbench() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(debian.map(|version| version.path().join("bin")))
        .map(|directory| directory.join("pgbench"))
        .find(|program| program.exists())
}

async fn bench(pgbench: &Path, rounds: u32, seconds: &str) {
    let scope = Scope::create().unwrap();
    let plan = SandboxPlan { backend: BackendChoice::Local, ..SandboxPlan::default() };
    let sandbox = Sandbox::start(&plan, None, &scope, &[]).await.unwrap();
    let server = sandbox.server();
    let directory = tempfile::tempdir().unwrap();
    let socket = |name: &str| {
        let directory = directory.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        (UnixListener::bind(directory.join(".s.PGSQL.5432")).unwrap(), directory.display().to_string())
    };
    let (listener, relayed) = socket("relay");
    tokio::spawn(relay(listener, server.endpoint.clone()));
    let tap = Tap::new(server.endpoint.clone()).unwrap();
    let (listener, tapped) = socket("tap");
    tap.serve_unix(listener).unwrap();
    let (host, port) = server.endpoint.host_and_port();
    let direct = (host, port.to_string());
    let (relayed, tapped) = ((relayed, "5432".to_owned()), (tapped, "5432".to_owned()));
    run(pgbench, server, &direct, &["-i", "-q", "-s", "10"]).await;

    println!(
        "transactions a second, medians of {rounds} rounds of {seconds} s; recording: a run every {RUN:?}\n"
    );
    println!(
        "{:<32} {:>8} {:>8} {:>10} {:>10} {:>10} {:>11}   CPU µs a transaction: relay, tap, recording",
        "", "direct", "relay", "tap", "recording", "tap/relay", "rec./relay"
    );
    for (name, load) in LOADS {
        let mut rates: [Vec<f64>; 4] = Default::default();
        let mut costs: [Vec<f64>; 4] = Default::default();
        for _ in 0..rounds {
            for (n, (rates, costs)) in rates.iter_mut().zip(&mut costs).enumerate() {
                let recorder = (n == 3).then(|| tokio::spawn(record(tap.clone())));
                let way = match n {
                    0 => &direct,
                    1 => &relayed,
                    _ => &tapped,
                };
                let arguments = [load, &["-n", "-T", seconds]].concat();
                let before = cpu();
                let output = run(pgbench, server, way, &arguments).await;
                rates.push(rate(&output));
                costs.push((cpu() - before) / count(&output) * 1e6);
                if let Some(recorder) = recorder {
                    recorder.abort();
                    tap.end();
                }
            }
        }
        let [direct, relay, idle, recording] = rates.clone().map(median);
        let [_, a, b, c] = costs.map(median);
        println!(
            "{name:<32} {direct:>8.0} {relay:>8.0} {idle:>10.0} {recording:>10.0} {:>10.3} {:>11.3}   {a:.1} {b:.1} {c:.1}",
            against(&rates[2], &rates[1]),
            against(&rates[3], &rates[1])
        );
    }
    tap.close().await;
    scope.close().await;
}

/// Ends one run after another.
async fn record(tap: Tap) {
    loop {
        tap.begin(Orders::default(), Instant::now());
        tokio::time::sleep(RUN).await;
        let recording = tap.end();
        if recording.truncated {
            eprintln!("a run was too long: {} statements", recording.statements.len());
        }
    }
}

/// The least that goes through two sockets.
async fn relay(listener: UnixListener, upstream: Endpoint) {
    let path = upstream.socket_file().unwrap();
    while let Ok((mut client, _)) = listener.accept().await {
        let path = path.clone();
        tokio::spawn(async move {
            let mut server = UnixStream::connect(path).await.unwrap();
            // A client that hangs up is how it ends.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

async fn run(pgbench: &Path, server: &Server, way: &(String, String), arguments: &[&str]) -> String {
    let output = Command::new(pgbench)
        .args(["-h", &way.0, "-p", &way.1, "-U", server.superuser.as_str()])
        .args(arguments)
        .arg(DATABASE)
        .env("PGPASSWORD", server.password.reveal())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Seconds of CPU that this process has had, relay and tap among them; only Linux tells it so.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split(' ')).into_iter().flatten();
    let ticks: u32 = fields.skip(12).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}

fn count(output: &str) -> f64 {
    let line =
        output.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
    line.unwrap().split('/').next().unwrap().parse().unwrap()
}

fn rate(output: &str) -> f64 {
    let line = output.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

/// The median of the ratios within each round: what else the machine does hits both.
fn against(rates: &[f64], others: &[f64]) -> f64 {
    median(rates.iter().zip(others).map(|(rate, other)| rate / other).collect())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

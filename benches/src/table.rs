//! The table of `scripts/bench`: this broker in several settings, a peer, and the floor, in one run.

use crate::broker::{Broker, Site, memory_of};
use crate::issuer::Issuer;
use crate::load::{self, Arrivals, Load};
use crate::peer::Peer;
use crate::{Options, Outcome, SPIN_LIKE, measure_floor};
use std::path::PathBuf;
use std::time::Duration;
use vouchsafe_harness::broker::repository;

const CONNECTIONS: usize = 16;
/// Exchanged before anything is measured, so that keys are fetched and code is loaded.
const WARMING_UP: usize = 2000;
/// More than any server exchanges in a second here; a run that outlives its tokens ends early.
const TOKENS_PER_SECOND: usize = 4000;
/// A folder in memory.
const MEMORY: &str = "/dev/shm";

/// One line of the table.
struct Line {
    name: String,
    per_second: f64,
    /// Microseconds per exchange, if the process is known.
    cpu_us: Option<f64>,
    busy_ms: [f64; 2],
    half_ms: [f64; 2],
    memory_mb: Option<u64>,
}

/// Measures everything and prints the table.
pub fn run(site: &Site, issuer: &Issuer, options: &Options) -> Outcome<()> {
    let before = measure_floor(issuer, site, options)?.whole_us;
    let tokens = issuer.tokens(WARMING_UP + TOKENS_PER_SECOND * options.lasting.as_secs() as usize)?;
    let mut lines = Vec::new();
    let memory = PathBuf::from(format!("{MEMORY}/vouchsafe-bench-{}", std::process::id()));
    std::fs::create_dir_all(&memory)?;
    let config = memory.join("runtime.toml");
    let database = memory.join("store.db");
    std::fs::write(
        &config,
        format!("[sqlite_database.default]\ntype = \"spin\"\npath = \"{}\"\n", database.display()),
    )?;
    let settings: [(&str, Vec<String>); 4] = [
        ("serve", Vec::new()),
        ("serve, record in memory", vec!["--runtime-config-file".to_owned(), config.display().to_string()]),
        ("serve, all in Wasm", vec!["--wasm-crypto".to_owned(), "--wasm-store".to_owned()]),
        ("Spin-like instances", SPIN_LIKE.map(str::to_owned).to_vec()),
    ];
    let requests = issuer.requests_of(&tokens, "/token", "");
    for (name, arguments) in settings {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let broker = site.start("allow", &arguments)?;
        lines.push(line(name, &Server::Broker(&broker), &requests, options)?);
    }
    std::fs::remove_dir_all(&memory)?;
    let peer = match &options.peer {
        Some(url) => Peer::at(url, options.peer_pid),
        None => Peer::oidc_provider(&repository(), issuer),
    };
    match &peer {
        Ok(peer) => {
            let requests = issuer.requests_of(&tokens, &peer.path, "&client_id=bench");
            lines.push(line(&peer.name, &Server::Peer(peer), &requests, options)?);
        }
        Err(error) => println!("no peer: {error}"),
    }
    let after = measure_floor(issuer, site, options)?.whole_us;
    print(&lines, before.min(after), peer.is_ok());
    Ok(())
}

enum Server<'a> {
    Broker(&'a Broker),
    Peer(&'a Peer),
}

impl Server<'_> {
    fn address(&self) -> &str {
        match self {
            Self::Broker(broker) => &broker.address,
            Self::Peer(peer) => &peer.address,
        }
    }

    fn cpu(&self) -> Option<Duration> {
        match self {
            Self::Broker(broker) => broker.cpu().ok(),
            Self::Peer(peer) => peer.cpu(),
        }
    }

    fn memory_mb(&self) -> Option<u64> {
        let pid = match self {
            Self::Broker(broker) => Some(broker.pid()),
            Self::Peer(peer) => peer.pid(),
        };
        memory_of(pid?).ok()
    }
}

fn line(name: &str, server: &Server<'_>, requests: &[Vec<u8>], options: &Options) -> Outcome<Line> {
    let (first, distinct) = requests.split_at(WARMING_UP.min(requests.len()));
    let closed = Arrivals::Closed { connections: CONNECTIONS };
    load::run(server.address(), first, closed, options.lasting)?;
    let before = server.cpu();
    let busy = load::run(server.address(), distinct, closed, options.lasting)?;
    let cpu = server.cpu().zip(before).map(|(after, before)| after.saturating_sub(before));
    // Tokens that were not presented yet: a server may remember those that it verified.
    let fresh = distinct.get(busy.count()..).filter(|rest| rest.len() > WARMING_UP).unwrap_or(distinct);
    let per_second = (busy.per_second() / 2.0).round();
    let half = load::run(server.address(), fresh, Arrivals::Open { per_second }, options.lasting / 2)?;
    let milliseconds = |load: &Load| [load.percentile_ms(0.5), load.percentile_ms(0.99)];
    Ok(Line {
        name: name.to_owned(),
        per_second: busy.per_second(),
        cpu_us: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / busy.count() as f64),
        busy_ms: milliseconds(&busy),
        half_ms: milliseconds(&half),
        memory_mb: server.memory_mb(),
    })
}

fn print(lines: &[Line], floor_us: f64, has_peer: bool) {
    let peer = lines.last().filter(|_| has_peer).map(|line| line.per_second);
    println!(
        "\n{:<26} {:>11} {:>7} {:>7} {:>8} {:>16} {:>16} {:>6}",
        "", "exchanges/s", "÷ peer", "CPU us", "÷ floor", "p50, p99 ms", "at half load", "MB"
    );
    for line in lines {
        let ratio = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let pair = |[p50, p99]: [f64; 2]| format!("{p50:.1}, {p99:.1}");
        println!(
            "{:<26} {:>11.0} {:>7} {:>7} {:>8} {:>16} {:>16} {:>6}",
            line.name,
            line.per_second,
            ratio(peer.map(|peer| line.per_second / peer)),
            line.cpu_us.map_or("-".to_owned(), |us| format!("{us:.0}")),
            ratio(line.cpu_us.map(|us| us / floor_us)),
            pair(line.busy_ms),
            pair(line.half_ms),
            line.memory_mb.map_or("-".to_owned(), |mb| mb.to_string()),
        );
    }
    println!("{:<26} {:>11} {:>7} {:>7.0} {:>8}", "floor (native, one thread)", "-", "-", floor_us, "1.00");
    println!(
        "\n{CONNECTIONS} connections, distinct RS256 tokens with 30 claims, ES256 issued; MB is resident memory at the end"
    );
}

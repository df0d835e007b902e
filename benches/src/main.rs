//! `scripts/bench`: what an exchange costs, beside the least that it could cost.
//!
//! Starts the real broker on loopback with a real database, sends it distinct RS256 tokens and prints what it
//! measured, without a verdict: a table of this broker in several settings, a peer and the floor. `--full` measures
//! more of the broker, and `--against` the ratio of two versions.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a developer's tool may panic"
)]

mod broker;
mod comparison;
mod floor;
mod hsm;
mod issuer;
mod load;
mod options;
mod peer;
mod policy;
mod table;
mod variety;
mod verification;

use broker::{Broker, Site};
use floor::{Floor, Measured};
use issuer::Issuer;
use load::{Arrivals, Load};
use options::{Options, USAGE};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vouchsafe_harness::broker::{repository, target_folder};
use vouchsafe_harness::bundle::{API as AUDIENCE, BROKER};
use vouchsafe_harness::now;

/// How `spin up` reuses instances by default, with the components that it can run.
const SPIN_LIKE: [&str; 6] =
    ["--max-instance-reuse-count", "128", "--idle-instance-timeout", "1", "--wasm-crypto", "--wasm-store"];
/// More than a closed loop exchanges in a second; a run that outlives its tokens ends early.
const TOKENS_PER_SECOND: usize = 1500;
/// Tokens with one unknown `kid` each, sent repeatedly.
const FLOOD_TOKENS: usize = 2000;
const FLOOD_CONNECTIONS: usize = 4;
/// Valid exchanges beside the flood.
const FLOOD_HONEST_PER_SECOND: f64 = 200.0;
/// The rate of the open loop as a share of the closed loop's.
const OPEN_LOOP_SHARE: f64 = 0.5;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T> = Result<T, Error>;

fn main() -> ExitCode {
    if let Some(seconds) = std::env::args().skip_while(|it| it != hsm::CEILING).nth(1) {
        return exit_code(hsm::print_ceiling(&seconds));
    }
    if std::env::args().skip(1).any(|it| it == "--help" || it == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\nhint: {USAGE}");
            return ExitCode::from(2);
        }
    };
    exit_code(run(&options))
}

fn exit_code(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let repository = repository();
    let program =
        std::env::var_os("VOUCHSAFE_BIN").map_or_else(|| target_folder().join("release/vouchsafe"), PathBuf::from);
    let issuer = Issuer::start();
    let site = Site::new(&repository, program, &issuer)?;
    print_machine();
    if let Some(other) = &options.against {
        return comparison::run(&site, other, &issuer, options);
    }
    if options.hsm {
        let pool = pool(&issuer, options)?;
        return hsm::run(&site, &issuer, &pool, options);
    }
    if options.variety {
        return variety::run(&site, &issuer, options);
    }
    if options.policy {
        return policy::run(&repository, &site, &issuer);
    }
    if !options.full {
        if options.peer.is_some() {
            println!("the peer must accept tokens of {} for {BROKER}; waiting 20 s", issuer.url());
            std::thread::sleep(Duration::from_secs(20));
        }
        return table::run(&site, &issuer, options);
    }
    let before = measure_floor(&issuer, &site, options)?;
    print_floor(&before);
    verification::run(&site)?;
    start_up(&site)?;
    let pool = pool(&issuer, options)?;
    let long_lived = long_lived(&site, &pool, options)?;
    single_use(&site, &issuer, options)?;
    spin_like(&site, &pool, options)?;
    new_instance(&site, &pool, options)?;
    flood(&site, &issuer, &pool, options)?;
    hsm::run(&site, &issuer, &pool, options)?;
    policy::run(&repository, &site, &issuer)?;
    let again = measure_floor(&issuer, &site, options)?.whole_us;
    let floor_us = again.min(before.whole_us);
    println!(
        "\nfloor, measured again: {again:.1} us\nbroker {long_lived:.0} us of CPU per exchange / floor \
         {floor_us:.0} us = {:.1}",
        long_lived / floor_us
    );
    Ok(())
}

fn print_machine() {
    let first = |path: &str, name: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "machine: {} cores of {}, memory {}, load before {}",
        std::thread::available_parallelism().map_or(0, usize::from),
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        load.split(' ').next().unwrap_or_default(),
    );
}

fn measure_floor(issuer: &Issuer, site: &Site, options: &Options) -> Outcome<Measured> {
    let now = now();
    let bodies: Vec<_> = (0..256).map(|_| issuer::body(&issuer.mint(now))).collect();
    Floor::new(issuer, &site.policies("allow"))?.measure(&bodies, now, options.lasting / 4)
}

fn print_floor(floor: &Measured) {
    println!("\nfloor (native, one thread): {:.1} us of CPU", floor.whole_us);
    for (part, us) in &floor.parts_us {
        println!("  {part:<24} {us:>7.1} us");
    }
}

fn pool(issuer: &Issuer, options: &Options) -> Outcome<Vec<Vec<u8>>> {
    issuer.requests(TOKENS_PER_SECOND * options.lasting.as_secs() as usize)
}

fn start_up(site: &Site) -> Outcome<()> {
    let cold = site.start("allow", &[])?;
    let cold_in = cold.started_in;
    drop(cold);
    let cached_in = site.start("allow", &[])?.started_in;
    println!(
        "\nstart-up until ready: {:.1} s with an empty cache, {:.2} s with cached code",
        cold_in.as_secs_f64(),
        cached_in.as_secs_f64()
    );
    Ok(())
}

/// CPU microseconds per exchange in the closed loop with 16 connections.
fn long_lived(site: &Site, pool: &[Vec<u8>], options: &Options) -> Outcome<f64> {
    let broker = site.start("allow", &[])?;
    warm(&broker, pool)?;
    let short = Options { lasting: options.lasting / 2, ..options.clone() };
    heading();
    answer(&broker, "/healthz", &short)?;
    answer(&broker, "/.well-known/jwks.json", &short)?;
    let from = broker.log_bytes()?;
    Row::of("long-lived", &broker, pool, &short).measure(Arrivals::Closed { connections: 1 })?;
    let steps = broker.steps_us(from)?;
    let row = Row::of("long-lived", &broker, pool, options);
    let busy = row.measure(Arrivals::Closed { connections: 16 })?;
    row.measure(Arrivals::Closed { connections: 32 })?;
    row.open_loop(busy.per_second)?;
    // Printed late so that the table stays in one piece.
    println!("\nsteps of an exchange, one at a time, median, as logged:");
    for (step, us) in steps {
        println!("  {step:<24} {us:>7} us");
    }
    heading();
    Ok(busy.cpu_us)
}

fn single_use(site: &Site, issuer: &Issuer, options: &Options) -> Outcome<()> {
    let broker = site.start("single-use", &[])?;
    // ORDER: minted after the start, because a store refuses tokens older than itself.
    let tokens = pool(issuer, options)?;
    let row = Row::of("single-use tokens", &broker, &tokens, options);
    let busy = row.measure(Arrivals::Closed { connections: 16 })?;
    let tokens = pool(issuer, options)?;
    Row::of("single-use tokens", &broker, &tokens, options).open_loop(busy.per_second)
}

fn spin_like(site: &Site, pool: &[Vec<u8>], options: &Options) -> Outcome<()> {
    let broker = site.start("allow", &SPIN_LIKE)?;
    warm(&broker, pool)?;
    let row = Row::of("Spin-like", &broker, pool, options);
    let busy = row.measure(Arrivals::Closed { connections: 16 })?;
    row.open_loop(busy.per_second)
}

/// The extra cost of an exchange in a new instance.
fn new_instance(site: &Site, pool: &[Vec<u8>], options: &Options) -> Outcome<()> {
    let alone = Arrivals::Closed { connections: 1 };
    let short = Options { lasting: options.lasting / 2, ..options.clone() };
    let old = site.start("allow", &[])?;
    warm(&old, pool)?;
    let old = Row::of("long-lived", &old, pool, &short).measure(alone)?;
    let new = site.start("allow", &["--max-instance-reuse-count", "1"])?;
    warm(&new, pool)?;
    let new = Row::of("one use each", &new, pool, &short).measure(alone)?;
    println!(
        "\na new instance and its first request: {:.1} ms more CPU, {:.1} ms more latency",
        (new.cpu_us - old.cpu_us) / 1000.0,
        new.p50_ms - old.p50_ms
    );
    Ok(())
}

/// The effect of a flood of tokens with unknown `kid`s on valid exchanges and on the issuer.
fn flood(site: &Site, issuer: &Issuer, pool: &[Vec<u8>], options: &Options) -> Outcome<()> {
    let broker = site.start("allow", &[])?;
    warm(&broker, pool)?;
    let unknown = issuer.requests_with_unknown_keys(FLOOD_TOKENS);
    let honest = Arrivals::Open { per_second: FLOOD_HONEST_PER_SECOND };
    Row::of("before a flood", &broker, pool, options).measure(honest)?;
    let fetched = issuer.fetches();
    let stop = AtomicBool::new(false);
    let flooded = std::thread::scope(|scope| {
        let flooders: Vec<_> =
            (0..FLOOD_CONNECTIONS).map(|_| scope.spawn(|| load::flood(&broker.address, &unknown, &stop))).collect();
        let row = Row::of("in a flood", &broker, pool, options).measure(honest);
        stop.store(true, Ordering::Relaxed);
        let mut refused = 0;
        for flooder in flooders {
            refused += flooder.join().map_err(|_| "a load thread panicked")??;
        }
        row.map(|_| refused)
    })?;
    println!(
        "flood of {flooded} tokens with unknown kids in {} s: {} requests to the issuer, two per fetch",
        options.lasting.as_secs(),
        issuer.fetches() - fetched
    );
    Ok(())
}

/// Lets the broker compile, fetch and allocate what it needs once.
fn warm(broker: &Broker, pool: &[Vec<u8>]) -> Outcome<()> {
    let arrivals = Arrivals::Closed { connections: 16 };
    load::run(&broker.address, pool, arrivals, Duration::from_secs(1))?;
    Ok(())
}

/// Measures an answer without an exchange: host, HTTP and an instance, and for some documents a call to another
/// component.
fn answer(broker: &Broker, path: &'static str, options: &Options) -> Outcome<()> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: broker\r\n\r\n");
    let requests = vec![request.into_bytes(); 200_000];
    let row = Row::of(path, broker, &requests, options);
    row.measure(Arrivals::Closed { connections: 16 })?;
    Ok(())
}

/// One line of the table.
struct Row<'a> {
    name: &'a str,
    broker: &'a Broker,
    requests: &'a [Vec<u8>],
    lasting: Duration,
}

struct Seen {
    per_second: f64,
    cpu_us: f64,
    p50_ms: f64,
}

fn heading() {
    println!(
        "\n{:<22} {:<14} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}",
        "instances", "load", "per s", "p50 ms", "p95 ms", "p99 ms", "CPU us", "RSS MB", "503s"
    );
}

impl<'a> Row<'a> {
    fn of(name: &'a str, broker: &'a Broker, requests: &'a [Vec<u8>], options: &Options) -> Self {
        Self { name, broker, requests, lasting: options.lasting }
    }

    fn open_loop(&self, closed_per_second: f64) -> Outcome<()> {
        let per_second = (closed_per_second * OPEN_LOOP_SHARE).round();
        self.measure(Arrivals::Open { per_second })?;
        Ok(())
    }

    fn measure(&self, arrivals: Arrivals) -> Outcome<Seen> {
        let before = self.broker.cpu()?;
        let load = load::run(&self.broker.address, self.requests, arrivals, self.lasting)?;
        let cpu = self.broker.cpu()?.saturating_sub(before);
        self.print(arrivals, &load, cpu)
    }

    fn print(&self, arrivals: Arrivals, load: &Load, cpu: Duration) -> Outcome<Seen> {
        let seen = Seen {
            per_second: load.per_second(),
            cpu_us: cpu.as_secs_f64() * 1e6 / (load.count() + load.unavailable) as f64,
            p50_ms: load.percentile_ms(0.5),
        };
        let arrivals = match arrivals {
            Arrivals::Closed { connections } => format!("closed, {connections}"),
            Arrivals::Open { per_second } => format!("open, {per_second}/s"),
        };
        println!(
            "{:<22} {:<14} {:>7.0} {:>8.2} {:>8.2} {:>8.2} {:>8.0} {:>8} {:>6}",
            self.name,
            arrivals,
            seen.per_second,
            seen.p50_ms,
            load.percentile_ms(0.95),
            load.percentile_ms(0.99),
            seen.cpu_us,
            self.broker.peak_memory_mb()?,
            load.unavailable,
        );
        Ok(seen)
    }
}

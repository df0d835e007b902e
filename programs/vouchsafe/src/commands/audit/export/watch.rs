//! Sends records to sinks, each in a thread of its own: a sink that hangs delays only itself.

use super::cursor::{Cursor, Folder};
use super::format::Format;
use super::meter::Meter;
use super::records::{BATCH_MAX, Filter, Records};
use super::signals::Signal;
use super::sink::{Options, Sink};
use crate::client::text::{without_query, without_user_info};
use crate::commands::audit::record::Record;
use crate::commands::audit::report::Kept;
use crate::commands::audit::{note, verify};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch::{Receiver, Sender, channel};
use vouchsafe_cli::{Failure, clock};
use vouchsafe_tlog::Policy;

/// How long to wait for new records.
const PAUSE: Duration = Duration::from_secs(1);
/// The first and longest pauses after failures.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);
/// How often the log is verified.
const VERIFY_PERIOD: Duration = Duration::from_secs(3600);
/// Records from this long before the cursor are sent again to a database that was restored.
const RESTORED_MS: u64 = 3_600_000;
/// How often records are counted for metrics.
const METER_PERIOD: Duration = Duration::from_secs(5);
/// Largest head of a request for metrics.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Options for sinks.
#[derive(clap::Args)]
#[command(next_help_heading = "Sinks")]
pub struct SinkArgs {
    /// A sink; may be repeated.
    #[arg(long, value_name = "SINK", requires = "cursor")]
    to: Vec<String>,
    /// The folder that remembers how far each sink is.
    #[arg(long, value_name = "DIR", requires = "to")]
    cursor: Option<PathBuf>,
    /// Go on until a signal.
    #[arg(long, requires = "to")]
    watch: bool,
    /// File with the secret that signs webhooks: `whsec_` and base64 of 24 to 64 bytes. A second line is a second secret,
    /// while receivers change over.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Trust only the certificate authorities in this file (PEM) at sinks [default: those of SSL_CERT_FILE, or the system's].
    #[arg(long, env = "VOUCHSAFE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The keys of the log (`vouchsafe audit policy` prints them): records are verified every hour, and a webhook tells
    /// what is wrong. Only with SQLite.
    #[arg(long, value_name = "FILE", requires = "watch")]
    policy: Option<PathBuf>,
    /// Address to serve Prometheus metrics on, at /metrics: of the sinks, and of exchanges as the records show them.
    #[arg(long, value_name = "ADDRESS", requires = "watch")]
    metrics_listen: Option<SocketAddr>,
}

impl SinkArgs {
    pub fn is_empty(&self) -> bool {
        self.to.is_empty()
    }
}

pub fn run(database: &str, format: Format, filter: &Filter, sinks: &SinkArgs) -> Result<ExitCode, Failure> {
    if format == Format::Csv {
        return Err(Failure::usage("--to needs the format `jsonl` or `ocsf`"));
    }
    let policy = sinks.policy.as_deref().map(note::read_policy).transpose()?;
    let folder = sinks.cursor.as_deref().ok_or_else(|| Failure::usage("--to needs --cursor"))?;
    let folder = Folder::open(folder)?;
    let options = Options { ca: sinks.ca.as_deref(), secret_file: sinks.secret_file.as_deref() };
    let meter = Arc::new(Meter::default());
    let mut exporters = Vec::new();
    for address in &sinks.to {
        let sink = Sink::parse(address, &options)?;
        let path = folder.cursor_of(address);
        exporters.push(Exporter {
            database: database.to_owned(),
            filter: filter.clone(),
            format,
            policy: policy.clone().filter(|_| sink.takes_signals()),
            verified_at: None,
            cursor: Cursor::read(&path)?,
            saved: Cursor::read(&path)?,
            path,
            name: without_user_info(without_query(address)),
            sink,
            meter: Arc::clone(&meter),
            connected: None,
        });
    }
    // A database that can't be read is an error now.
    drop(Records::open(database)?);
    match sinks.watch {
        false => once(exporters),
        true => vouchsafe_cli::run(until_stopped(database, sinks.metrics_listen, exporters, meter)),
    }
}

/// Sends what is there.
fn once(exporters: Vec<Exporter>) -> Result<ExitCode, Failure> {
    let threads = exporters.into_iter().map(|mut exporter| {
        std::thread::spawn(move || {
            let outcome = exporter.drain();
            outcome.inspect_err(|failure| eprintln!("vouchsafe: {}: {}", exporter.name, failure.message)).is_ok()
        })
    });
    let threads: Vec<_> = threads.collect();
    // Waits for each, also after one that failed.
    let done: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap_or(false)).collect();
    let all = done.into_iter().all(|done| done);
    Ok(ExitCode::from(u8::from(!all)))
}

async fn until_stopped(
    database: &str,
    metrics_listen: Option<SocketAddr>,
    exporters: Vec<Exporter>,
    meter: Arc<Meter>,
) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| Failure::refused(format!("cannot start: {error}"));
    let stop = vouchsafe_serve::stop_signal().map_err(failed)?;
    if let Some(address) = metrics_listen {
        let (listener, address) = vouchsafe_serve::bind(address).await.map_err(failed)?;
        eprintln!("vouchsafe: metrics at http://{address}/metrics");
        let rendered = Arc::clone(&meter);
        let render = move || rendered.render(clock::since_epoch().as_secs());
        tokio::spawn(vouchsafe_serve::serve_metrics(listener, HEADER_BYTES_MAX, render));
        let (database, meter) = (database.to_owned(), Arc::clone(&meter));
        std::thread::spawn(move || count(&database, &meter));
    }
    let (stopping, stopped): (Sender<bool>, Receiver<bool>) = channel(false);
    let mut tasks = Vec::new();
    for mut exporter in exporters {
        let stopped = stopped.clone();
        tasks.push(tokio::task::spawn_blocking(move || exporter.run(&stopped)));
    }
    println!("exporting to {} sinks", tasks.len());
    stop.await;
    stopping.send_replace(true);
    // Whoever sends is interrupted by the end of the process: the cursor moves only afterwards.
    Ok(ExitCode::SUCCESS)
}

/// Counts records for metrics, as long as the process lives.
fn count(database: &str, meter: &Meter) {
    let mut position = None;
    loop {
        let counted = Records::open(database).and_then(|mut records| {
            let seq = match position {
                Some(seq) => seq,
                None => records.last()?,
            };
            let now_ms = clock::since_epoch().as_secs().saturating_mul(1000);
            meter.read(&mut records, seq, now_ms)
        });
        match counted {
            Ok(seq) => position = Some(seq),
            Err(failure) => eprintln!("vouchsafe: records were not counted: {}", failure.message),
        }
        std::thread::sleep(METER_PERIOD);
    }
}

/// One sink, and how far it is.
struct Exporter {
    database: String,
    filter: Filter,
    format: Format,
    policy: Option<Policy>,
    verified_at: Option<Instant>,
    cursor: Cursor,
    /// What the file has.
    saved: Cursor,
    path: PathBuf,
    name: String,
    sink: Sink,
    meter: Arc<Meter>,
    /// An open connection to PostgreSQL.
    connected: Option<Records>,
}

impl Exporter {
    fn run(&mut self, stopped: &Receiver<bool>) {
        let mut failures = 0_u32;
        while !*stopped.borrow() {
            let pause = match self.drain() {
                Ok(()) => {
                    failures = 0;
                    PAUSE
                }
                Err(failure) => {
                    self.meter.sink(&self.name, |state| {
                        state.failures += 1;
                        state.failing_since = state.failing_since.or(Some(clock::since_epoch().as_secs()));
                    });
                    let pause = RETRY_MIN.saturating_mul(1 << failures.min(20)).min(RETRY_MAX);
                    // The first of a series, and then one in five minutes.
                    if failures == 0 || pause == RETRY_MAX {
                        eprintln!("vouchsafe: {}: {}; trying again", self.name, failure.message);
                    }
                    failures = failures.saturating_add(1);
                    pause
                }
            };
            let until = Instant::now() + pause;
            while !*stopped.borrow() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(100).min(until.saturating_duration_since(Instant::now())));
            }
        }
    }

    /// Sends everything that is there.
    fn drain(&mut self) -> Result<(), Failure> {
        let connected = self.connected.take();
        let mut records = connected.map_or_else(|| Records::open(&self.database), Ok)?;
        self.drain_from(&mut records)?;
        // A file may be replaced, so it is opened each time.
        self.connected = Some(records).filter(|it| matches!(it, Records::Postgres(_)));
        Ok(())
    }

    fn drain_from(&mut self, records: &mut Records) -> Result<(), Failure> {
        self.resume(records)?;
        let last = records.last()?;
        self.meter.sink(&self.name, |state| state.behind = last.saturating_sub(self.cursor.seq));
        self.late(records)?;
        loop {
            let batch = records.after(self.cursor.seq, BATCH_MAX)?;
            let Some(end) = batch.last() else { break };
            let (at_ms, decision_id) = (end.number("decided_at_ms"), end.text("decision_id").to_owned());
            self.send(&batch, records.may_appear_late())?;
            (self.cursor.at_ms, self.cursor.decision_id) = (at_ms, decision_id);
            self.save(last)?;
        }
        if self.sink.takes_signals() {
            self.operations(records)?;
            self.verify_log(records)?;
        }
        self.save(last)
    }

    /// Goes back if the database is not the one that the cursor is from: a restored copy uses numbers again.
    fn resume(&mut self, records: &mut Records) -> Result<(), Failure> {
        if self.cursor.seq == 0 {
            return Ok(());
        }
        let here = records.numbered(&[self.cursor.seq])?;
        let is_same = match here.first() {
            Some(record) => record.text("decision_id") == self.cursor.decision_id,
            // It was pruned, unless there is nothing after it either.
            None => records.last()? > self.cursor.seq,
        };
        if !is_same {
            let back = records.last_before(self.cursor.at_ms.saturating_sub(RESTORED_MS))?.min(self.cursor.seq);
            eprintln!("vouchsafe: {}: the database was restored; going on after record {back}", self.name);
            (self.cursor.seq, self.cursor.operation) = (back, 0);
            self.cursor.gaps.clear();
        }
        Ok(())
    }

    /// Sends records whose numbers were missing.
    fn late(&mut self, records: &mut Records) -> Result<(), Failure> {
        let gaps: Vec<u64> = self.cursor.gaps.keys().copied().collect();
        let found = records.numbered(&gaps)?;
        self.send(&found, true)?;
        self.cursor.forget_gaps(clock::unix_seconds()?);
        Ok(())
    }

    fn send(&mut self, batch: &[Record], watches_gaps: bool) -> Result<(), Failure> {
        let now = clock::unix_seconds()?;
        let admitted: Vec<&Record> = batch.iter().filter(|record| self.filter.admits(record)).collect();
        if self.sink.takes_signals() {
            let mut seen = self.cursor.seen.clone();
            for record in admitted {
                for signal in seen.record(record) {
                    self.signal(&signal, now)?;
                }
            }
            self.cursor.seen = seen;
        } else {
            self.sink.send(&admitted, self.format)?;
            let count = admitted.len() as u64;
            self.meter.sink(&self.name, |state| state.sent += count);
        }
        batch.iter().for_each(|record| self.cursor.pass(record.seq, watches_gaps, now));
        Ok(())
    }

    fn operations(&mut self, records: &mut Records) -> Result<(), Failure> {
        for operation in records.operations(self.cursor.operation, BATCH_MAX)? {
            if let Some(signal) = self.cursor.seen.operation(&operation) {
                self.signal(&signal, clock::unix_seconds()?)?;
            }
            self.cursor.operation = operation.seq;
        }
        Ok(())
    }

    /// Verifies the records and the log now and then, and tells what is wrong.
    fn verify_log(&mut self, records: &Records) -> Result<(), Failure> {
        let (Some(policy), Records::Sqlite(database)) = (&self.policy, records) else {
            return Ok(());
        };
        if self.verified_at.is_some_and(|at| at.elapsed() < VERIFY_PERIOD) {
            return Ok(());
        }
        let kept = self.cursor.seen.checkpoint.as_deref();
        let kept = kept.and_then(|text| note::of_log(text, policy).ok());
        let kept = kept.map(|checkpoint| Kept { checkpoint, from: "the exporter".to_owned(), witnesses: vec![] });
        let report = verify::check(database, policy, kept.as_slice())?;
        let latest = verify::published(database)?;
        let now = clock::unix_seconds()?;
        let mut seen = self.cursor.seen.clone();
        for finding in &report.findings {
            if let Some(signal) = seen.finding(finding.slug(), &finding.to_string(), now.saturating_mul(1000)) {
                self.signal(&signal, now)?;
            }
        }
        // A checkpoint that contradicts the one that was kept proves nothing.
        if report.findings.is_empty() {
            seen.checkpoint = latest.or(seen.checkpoint);
        }
        self.cursor.seen = seen;
        self.verified_at = Some(Instant::now());
        Ok(())
    }

    fn signal(&self, signal: &Signal, now: u64) -> Result<(), Failure> {
        self.sink.signal(signal, now)?;
        self.meter.sink(&self.name, |state| state.sent += 1);
        Ok(())
    }

    fn save(&mut self, last: u64) -> Result<(), Failure> {
        if self.saved != self.cursor {
            self.cursor.write(&self.path)?;
            self.saved = self.cursor.clone();
        }
        self.meter.sink(&self.name, |state| {
            state.failing_since = None;
            state.behind = last.saturating_sub(self.cursor.seq);
        });
        Ok(())
    }
}

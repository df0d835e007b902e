//! `vouchsafe audit export`.

mod cursor;
mod format;
mod meter;
mod ocsf;
mod records;
mod signals;
mod sink;
mod watch;

use crate::client::moment::{self, Moment};
use format::Format;
use records::{BATCH_MAX, Filter};

pub use records::Records;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock};

/// Print audit records, or send them to sinks: one JSON object or OCSF event a line, or CSV.
///
/// With --to, what was not sent before is sent to every sink, and --cursor remembers how far each is. With --watch, this
/// goes on until a signal. Each record arrives at least once. A sink that is down or hangs delays only itself.
#[derive(clap::Args)]
#[command(after_help = "\
Sinks:
  file:PATH              append lines to a file, which may be rotated by renaming it
  syslog+tls://HOST:PORT RFC 5424 over TLS (RFC 5425)
  https://…              signed webhooks (Standard Webhooks) about compromise, failed rotation, replay, rollback and fork

Exit codes: 0 printed or sent, 1 something could not be sent, 2 the database cannot be read or the command line is wrong.

Examples:
  vouchsafe audit export /var/lib/vouchsafe --format ocsf --since 24h >events.jsonl
  vouchsafe audit export /var/lib/vouchsafe --format jsonl --jkt kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k
  vouchsafe audit export /var/lib/vouchsafe --format csv --subject repo:acme/app --audience https://deploy.example
  vouchsafe audit export /var/lib/vouchsafe --format ocsf --watch --cursor /var/lib/vouchsafe-export \\
    --to file:/var/log/vouchsafe/audit.jsonl --to syslog+tls://siem.internal:6514 \\
    --to https://soar.internal/hooks --secret-file webhook-secret --metrics-listen 127.0.0.1:9470")]
pub struct Args {
    /// A state directory, a database, or the address of a PostgreSQL database, or @FILE with it.
    #[arg(value_name = "DB")]
    database: String,
    /// Output format.
    #[arg(long, value_enum)]
    format: Format,
    /// Only decisions at this moment or later: a time, or a duration before now.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    since: Option<Moment>,
    /// Only decisions before this moment.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    until: Option<Moment>,
    /// Only decisions about this subject: the `sub` of its tokens without `<issuer>:`.
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Only decisions for this audience.
    #[arg(long, value_name = "A")]
    audience: Option<String>,
    /// Only decisions with a proof of possession by this key: `cnf.jkt` of the tokens that are bound to it.
    #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
    jkt: Option<String>,
    #[command(flatten)]
    sinks: watch::SinkArgs,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.sinks.is_empty() {
        print(args)?;
        return Ok(ExitCode::SUCCESS);
    }
    watch::run(&args.database, args.format, &filter(args, clock::unix_seconds()?), &args.sinks)
}

/// Which records are exported, as of `now`.
fn filter(args: &Args, now: u64) -> Filter {
    let ms = |moment: Moment| moment.seconds(now).saturating_mul(1000);
    Filter {
        since_ms: args.since.map_or(0, ms),
        until_ms: args.until.map_or(i64::MAX.unsigned_abs(), ms),
        subject: args.subject.clone(),
        audience: args.audience.clone(),
        jkt: args.jkt.clone(),
    }
}

fn print(args: &Args) -> Result<(), Failure> {
    let mut records = Records::open(&args.database)?;
    let filter = filter(args, clock::unix_seconds()?);
    let mut seq = 0;
    let mut has_header = false;
    loop {
        let batch = records.after(seq, BATCH_MAX)?;
        let Some(last) = batch.last() else { return Ok(()) };
        seq = last.seq;
        for record in &batch {
            if args.format == Format::Csv && !std::mem::replace(&mut has_header, true) {
                println!("{}", format::csv_header(&record.columns));
            }
            if filter.admits(record) {
                println!("{}", args.format.line(&record.columns));
            }
        }
        if vouchsafe_cli::print::stdout_failed() {
            return Ok(());
        }
    }
}

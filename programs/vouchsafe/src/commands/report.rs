//! `vouchsafe report`: what happened in a week or a month, for reviews and auditors.

mod figures;
mod html;

use crate::client::moment;
use crate::commands::audit::export::Records;
use crate::commands::policy::bundle::{EnvironmentArgs, load};
use figures::{Figures, Period};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock, files};

const DAY_SECONDS: u64 = 24 * 3600;
/// Largest inventory.
const INVENTORY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Report a week or a month: denials, policies that changed, ages of keys, use of policies, and evidence of rotation.
///
/// Reads the audit records, and compares them with the period before. Changes nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 reported, 1 the bundle does not load, 2 the database or a file cannot be read, or the command line is wrong.

Examples:
  vouchsafe report /var/lib/vouchsafe --weekly --policies policies >week.html
  vouchsafe keys inventory --format json >keys.json
  vouchsafe report /var/lib/vouchsafe --monthly --policies policies --inventory keys.json --format json")]
pub struct Args {
    /// A state directory, a database, or the address of a PostgreSQL database, or @FILE with it.
    #[arg(value_name = "DB")]
    database: String,
    /// The last 7 days.
    #[arg(long, required_unless_present = "monthly", conflicts_with = "monthly")]
    weekly: bool,
    /// The last 30 days.
    #[arg(long)]
    monthly: bool,
    /// The bundle whose policies' use is reported.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The output of `vouchsafe keys inventory --format json`, for the ages of keys.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Html,
    Json,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let now = clock::unix_seconds()?;
    let days = if args.weekly { 7 } else { 30 };
    // This second too.
    let period = Period { start: now.saturating_sub(days * DAY_SECONDS), end: now.saturating_add(1) };
    let mut figures = Figures::new(period);
    let mut records = Records::open(&args.database)?;
    records.each(|record| figures.record(record))?;
    records.each_operation(|operation| figures.operation(operation))?;
    let policies = args.policies.as_ref().map(|dir| {
        let (_, bundle) = load(dir, &args.environment.environment())?;
        let ids = bundle.policies_of_all_actions().map(|policy| policy.id.clone());
        Ok::<Vec<String>, Failure>(ids.collect())
    });
    let inventory = args.inventory.as_ref().map(|path| {
        let text = files::read_text(path, INVENTORY_BYTES_MAX)?;
        serde_json::from_str::<Value>(&text).map_err(|error| Failure::file(path, error))
    });
    let report = json!({
        "from": moment::show(period.start),
        "to": moment::show(now),
        "days": days,
        "exchanges": figures.exchanges(),
        "denials": figures.denials(),
        "policies": figures.policies(policies.transpose()?.as_deref()),
        "bundles": figures.bundles(),
        "rotation": figures.rotation(),
        "operations": figures.operations(),
        "keys": inventory.transpose()?,
    });
    match args.format {
        Format::Html => print!("{}", html::page(&report)),
        Format::Json => println!("{report:#}"),
    }
    Ok(ExitCode::SUCCESS)
}

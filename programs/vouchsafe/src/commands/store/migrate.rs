//! `vouchsafe store migrate`: brings the schema of the database to the version that this program needs.

use super::database::Database;
use crate::commands::serve::failure;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};
use vouchsafe_host::admin::NEEDED;

/// How many months the first partitions are ahead.
const MONTHS_AHEAD: u16 = 3;

/// Create or migrate the schema of a store on PostgreSQL
///
/// Migrations only go forward. Running brokers of the version before go on while and after the schema is migrated;
/// restart them with this version afterwards. A broker that is older than the schema does not start.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  vouchsafe store migrate --check --address @/etc/vouchsafe/postgres-address\n  vouchsafe store migrate --apply --address postgres://owner@db.internal/vouchsafe?sslmode=require\n\nExit codes: 0 the schema has the version that this program needs, 1 it has another one (--check) or the database refused, 2 the command line is wrong."
)]
pub struct Args {
    #[command(flatten)]
    database: Database,
    /// Show the version of the schema, and change nothing
    #[arg(long, required_unless_present = "apply", conflicts_with = "apply")]
    check: bool,
    /// Create the schema, or run the migrations that are missing
    #[arg(long)]
    apply: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    let admin = args.database.connect().await?;
    let found = admin.schema_version().await.map_err(failure)?;
    if found > NEEDED {
        return Err(Failure::refused(format!(
            "the schema has version {found}, but this program knows only version {NEEDED}"
        ))
        .hint("use the version of vouchsafe that migrated it, or a later one"));
    }
    if args.apply {
        admin.migrate().await.map_err(failure)?;
        admin.create_partitions(MONTHS_AHEAD).await.map_err(failure)?;
    }
    let version = if args.apply { NEEDED } else { found };
    match args.format {
        Format::Json => println!("{}", serde_json::json!({ "version": version, "needed": NEEDED })),
        Format::Text if version == NEEDED => println!("the schema has version {version}, as needed"),
        Format::Text => println!("the schema has version {version}; version {NEEDED} is needed: run with --apply"),
    }
    Ok(ExitCode::from(u8::from(version != NEEDED)))
}

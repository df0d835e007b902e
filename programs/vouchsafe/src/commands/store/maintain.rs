//! `vouchsafe store maintain`: makes the partitions of audit records in advance.

use super::database::Database;
use crate::commands::serve::failure;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};

/// Make the monthly partitions of audit records in advance
///
/// `vouchsafe serve` does this every hour. Run it for brokers on Spin, once a month or more often: without a partition
/// for the current month, no token is issued.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  vouchsafe store maintain --address @/etc/vouchsafe/postgres-address\n\nExit codes: 0 the partitions exist, 1 the database refused, 2 the command line is wrong."
)]
pub struct Args {
    #[command(flatten)]
    database: Database,
    /// How many months in advance
    #[arg(long, value_name = "MONTHS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=120))]
    ahead: u16,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    let admin = args.database.connect().await?;
    let made = admin.create_partitions(args.ahead).await.map_err(failure)?;
    match args.format {
        Format::Json => println!("{}", serde_json::json!({ "partitions_made": made })),
        Format::Text => println!("made {made} partitions; there is one for each of the next {} months", args.ahead),
    }
    Ok(ExitCode::SUCCESS)
}

//! `vouchsafe revoke lift`.

use super::answer::Revocation;
use crate::client::admin::AdminArgs;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};

/// Lift a block, so that workloads get tokens again.
///
/// Tokens that were issued before stay revoked. Revocations without --block end by themselves, once the last token that
/// they match has expired. The caller needs the scope `revoke:lift`.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 lifted, now or before, 1 refused, 2 the command line is wrong, 3 the broker cannot be reached or cannot answer
now, after the retries.

Examples:
  vouchsafe revoke lift r-1800000000-9f86d081 --broker https://broker.example --reason 'INC-7: runner replaced'")]
pub struct Args {
    /// The block, as `vouchsafe revoke list` shows it.
    #[arg(value_name = "ID")]
    id: String,
    /// Why; for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Deserialize, Serialize)]
struct Answer {
    revocation: Revocation,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let body = json!({ "id": args.id, "reason": args.reason });
    let answer: Answer = args.admin.authorize("revoke:lift")?.post("revocations/lift", &body)?;
    match args.format {
        Format::Json => {
            println!("{}", serde_json::to_string(&answer).map_err(|error| Failure::refused(error.to_string()))?);
        }
        Format::Text => {
            let Revocation { id, .. } = &answer.revocation;
            println!("{} {id}: {}", answer.revocation.state(), answer.revocation.conditions());
        }
    }
    Ok(ExitCode::SUCCESS)
}

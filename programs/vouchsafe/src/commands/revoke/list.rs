//! `vouchsafe revoke list`.

use super::answer::Revocation;
use crate::client::admin::AdminArgs;
use crate::client::moment;
use crate::client::text::sanitize;
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format};

/// List the revocations and blocks that may match live tokens, oldest first.
///
/// Revocations of single tokens are left out. The caller needs the scope `revoke:read`.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 listed, 1 refused, 2 the command line is wrong, 3 the broker cannot be reached or cannot answer now, after the
retries.

Examples:
  vouchsafe revoke list --broker https://broker.example
  vouchsafe revoke list --broker https://broker.example --format json")]
pub struct Args {
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Deserialize, Serialize)]
struct Answer {
    revocations: Vec<Revocation>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let answer: Answer = args.admin.authorize("revoke:read")?.get("revocations")?;
    match args.format {
        Format::Json => {
            println!("{}", serde_json::to_string(&answer).map_err(|error| Failure::refused(error.to_string()))?);
        }
        Format::Text => answer.revocations.iter().flat_map(lines).for_each(|line| println!("{line}")),
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(revocation: &Revocation) -> Vec<String> {
    let by = |what: &str, at: u64, actor: &str, reason: &str| {
        format!("  {what} {} by {}: {}", moment::show(at), sanitize(actor), sanitize(reason))
    };
    let first = if revocation.block { "blocked" } else { "revoked" };
    let Revocation { id, at, actor, reason, lifted, .. } = revocation;
    let mut lines = vec![
        format!("{} {}: {}", revocation.state(), sanitize(id), revocation.conditions()),
        by(first, *at, actor, reason),
    ];
    lines.extend(lifted.iter().map(|lifted| by("lifted", lifted.at, &lifted.actor, &lifted.reason)));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::answer::Lifted;
    use super::*;

    #[test]
    fn shows_who_did_what() {
        let text = |text: &str| text.to_owned();
        let revocation = Revocation {
            id: text("r-1"),
            kid: Some(text("k1")),
            block: true,
            at: 1_800_000_000,
            actor: text("github:a"),
            reason: text("INC-7"),
            lifted: Some(Lifted {
                at: 1_800_000_060,
                actor: text("github:b"),
                reason: text("done"),
                ..Lifted::default()
            }),
            ..Revocation::default()
        };
        assert_eq!(
            lines(&revocation),
            [
                "lifted r-1: kid k1",
                "  blocked 2027-01-15T08:00:00Z by github:a: INC-7",
                "  lifted 2027-01-15T08:01:00Z by github:b: done",
            ]
        );
    }
}

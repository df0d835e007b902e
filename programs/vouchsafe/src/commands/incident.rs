//! `vouchsafe incident`: what to do first when a workload is compromised, and what to report afterwards.

#[cfg(feature = "host")]
mod report;

use super::revoke::answer::{Affected, Answer, Revocation, random_id};
use crate::client::admin::AdminArgs;
use crate::client::moment;
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format, clock};

/// Respond to a compromised workload or platform.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  vouchsafe incident contain --broker https://broker.example --issuer github --subject repo:acme/app --reason INC-7
  vouchsafe incident report /var/lib/vouchsafe --issuer github --subject repo:acme/app --since 24h"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Contain(Box<ContainArgs>),
    #[cfg(feature = "host")]
    Report(report::Args),
}

/// Block a workload or an issuer, revoke its tokens, and report who may still use them and for how long.
///
/// The same as `vouchsafe revoke --block`, with a timeline. `vouchsafe revoke lift` ends it. The caller needs the scope
/// `revoke`.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 contained, now or before, 1 refused, 2 the command line is wrong, 3 the broker cannot be reached or cannot answer
now, after the retries.

Examples:
  vouchsafe incident contain --broker https://broker.example --issuer github --subject repo:acme/app --reason INC-7
  vouchsafe incident contain --broker https://broker.example --issuer cluster --reason INC-8 --format json")]
struct ContainArgs {
    /// Name of the issuer file of the workload's platform, such as `github`.
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// The workload: the `sub` of its tokens without `<issuer>:` [default: all workloads of the issuer].
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Why; for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Name of the block: with the same one, repeating the command has no further effect [default: random].
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    admin: AdminArgs,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Contain(args) => contain(&args),
        #[cfg(feature = "host")]
        Command::Report(args) => report::run(&args),
    }
}

fn contain(args: &ContainArgs) -> Result<ExitCode, Failure> {
    let id = match &args.id {
        Some(id) => id.clone(),
        None => random_id("incident", clock::unix_seconds()?)?,
    };
    let body = body(args, &id);
    let answer: Answer = args.admin.authorize("revoke")?.post("revocations", &body)?;
    if args.format == Format::Json {
        println!("{}", serde_json::to_string(&answer).map_err(|error| Failure::refused(error.to_string()))?);
        return Ok(ExitCode::SUCCESS);
    }
    let revocation = answer.revocation.as_ref();
    let revocation = revocation.ok_or_else(|| Failure::unreachable("the broker's answer has no revocation"))?;
    timeline(revocation, answer.affected.as_ref()).iter().for_each(|line| println!("{line}"));
    Ok(ExitCode::SUCCESS)
}

fn body(args: &ContainArgs, id: &str) -> Value {
    let mut body = json!({ "id": id, "issuer": args.issuer, "reason": args.reason, "block": true });
    if let (Some(subject), Some(members)) = (&args.subject, body.as_object_mut()) {
        members.insert("subject".to_owned(), json!(subject));
    }
    body
}

/// What happened and what happens next, with times.
fn timeline(revocation: &Revocation, affected: Option<&Affected>) -> Vec<String> {
    let mut lines = vec![
        format!("contained {}: {}", revocation.id, revocation.conditions()),
        format!(
            "{}  in force: no new tokens; /introspect and the broker itself refuse the old ones",
            moment::show(revocation.at)
        ),
    ];
    match affected {
        None => lines
            .push("the broker could not count the live tokens in time: repeat the command with this --id".to_owned()),
        Some(affected) => {
            let last = affected.last_expires_at.map(moment::show);
            lines.push(match last {
                Some(last) => {
                    format!("{last}  the last token expires: until then, APIs that don't ask the broker accept it")
                }
                None => "no token of it is live: nothing is left that could be used".to_owned(),
            });
            lines.extend(affected.lines());
        }
    }
    lines.push(format!("to end it: vouchsafe revoke lift {} --reason …", revocation.id));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ContainArgs,
    }

    #[test]
    fn blocks_a_workload_or_an_issuer() {
        let of = |more: &[&str]| {
            let words = ["contain", "--broker", "https://b.example", "--issuer", "github", "--reason", "r"];
            body(&Cli::try_parse_from(words.iter().chain(more)).unwrap().args, "i")
        };
        assert_eq!(of(&[]), json!({ "id": "i", "issuer": "github", "reason": "r", "block": true }));
        let workload = json!({ "id": "i", "issuer": "github", "subject": "repo:a", "reason": "r", "block": true });
        assert_eq!(of(&["--subject", "repo:a"]), workload);
    }

    #[test]
    fn reports_a_timeline() {
        let revocation =
            Revocation { id: "i".into(), issuer: Some("github".into()), at: 1_800_000_000, ..Revocation::default() };
        let affected =
            |tokens, last_expires_at| Affected { tokens, last_expires_at, complete: true, workloads: vec![] };
        let of = |affected: Option<&Affected>| timeline(&revocation, affected);
        let live = affected(2, Some(1_800_000_300));
        assert_eq!(
            of(Some(&live)),
            [
                "contained i: issuer github",
                "2027-01-15T08:00:00Z  in force: no new tokens; /introspect and the broker itself refuse the old ones",
                "2027-01-15T08:05:00Z  the last token expires: until then, APIs that don't ask the broker accept it",
                "2 live tokens; the last one expires at 2027-01-15T08:05:00Z",
                "  2 of other workloads",
                "to end it: vouchsafe revoke lift i --reason …",
            ]
        );
        assert_eq!(of(Some(&affected(0, None)))[2], "no token of it is live: nothing is left that could be used");
        assert!(of(None)[2].starts_with("the broker could not count"));
    }
}

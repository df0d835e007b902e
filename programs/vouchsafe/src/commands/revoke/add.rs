//! `vouchsafe revoke`: one revocation.

use super::answer::{Answer, Revocation, random_id};
use crate::client::admin::AdminArgs;
use crate::client::moment::{self, Moment};
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format, clock};

#[derive(clap::Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    conditions: Conditions,
    /// Also refuse new tokens that match, until `vouchsafe revoke lift`.
    #[arg(long, conflicts_with_all = ["since", "until", "token"], help_heading = None::<&str>)]
    block: bool,
    /// Only count the live tokens that would be revoked.
    #[arg(long, help_heading = None::<&str>)]
    dry_run: bool,
    /// Why; for the audit trail.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run", help_heading = None::<&str>)]
    reason: Option<String>,
    /// Name of the revocation: with the same one, repeating the command has no further effect [default: random].
    #[arg(long, value_name = "ID", help_heading = None::<&str>)]
    id: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value = "text", help_heading = None::<&str>)]
    format: Format,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Which tokens.
#[derive(clap::Args)]
#[command(next_help_heading = "Conditions")]
struct Conditions {
    /// Name of the issuer file of the workload's platform, such as `github`.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The workload: the token's `sub` without `<issuer>:`.
    #[arg(long, value_name = "SUBJECT", requires = "issuer")]
    subject: Option<String>,
    /// The token's audience.
    #[arg(long, value_name = "A")]
    audience: Option<String>,
    /// Digest of the bundle that permitted the token.
    #[arg(long, value_name = "DIGEST")]
    bundle: Option<String>,
    /// The key that signed the token.
    #[arg(long, value_name = "KID")]
    kid: Option<String>,
    /// The one token with this decision id (`jti`).
    #[arg(long, value_name = "JTI", conflicts_with_all = ["issuer", "subject", "audience", "bundle", "kid", "all", "since", "until"], allow_hyphen_values = true)]
    token: Option<String>,
    /// Tokens issued since this time: 2027-01-15T08:00:00Z, or 15m for 15 minutes ago.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<Moment>,
    /// Tokens issued until this time [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<Moment>,
    /// The tokens of all workloads.
    #[arg(long, conflicts_with_all = ["issuer", "audience", "bundle", "kid"])]
    all: bool,
}

pub fn run(args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let body = body(args, clock::unix_seconds()?)?;
    let answer: Answer = args.admin.authorize("revoke")?.post("revocations", &body)?;
    if args.format == Format::Json {
        println!("{}", serde_json::to_string(&answer).map_err(|error| Failure::refused(error.to_string()))?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(revocation) = &answer.revocation {
        println!("{} {}: {}", revocation.state(), revocation.id, revocation.conditions());
    }
    match &answer.affected {
        Some(affected) => affected.lines().iter().for_each(|line| println!("{line}")),
        None => eprintln!("note: the broker could not count the live tokens in time"),
    }
    if let Some(revocation) = &answer.revocation {
        for note in notes(revocation) {
            eprintln!("note: {note}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn body(args: &RevokeArgs, now: u64) -> Result<Value, Failure> {
    let conditions = &args.conditions;
    let texts = [
        ("issuer", &conditions.issuer),
        ("subject", &conditions.subject),
        ("audience", &conditions.audience),
        ("bundle", &conditions.bundle),
        ("kid", &conditions.kid),
        ("token", &conditions.token),
    ];
    let given = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
    let mut members: Map<String, Value> = given.collect();
    if members.is_empty() && !conditions.all {
        return Err(Failure::usage("no condition: which tokens?").hint("--all revokes the tokens of all workloads"));
    }
    let times = [("since", conditions.since), ("until", conditions.until)];
    members.extend(times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), json!(at?.seconds(now))))));
    let flags = [("all", conditions.all), ("block", args.block), ("dry_run", args.dry_run)];
    members.extend(flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| (name.to_owned(), json!(true))));
    if !args.dry_run {
        let id = match &args.id {
            Some(id) => id.clone(),
            None => random_id("r", now)?,
        };
        members.insert("id".to_owned(), json!(id));
        members.insert("reason".to_owned(), json!(args.reason));
    }
    Ok(Value::Object(members))
}

/// What a revocation does not do.
fn notes(revocation: &Revocation) -> Vec<String> {
    let mut notes = Vec::new();
    match revocation.state() {
        "blocked" => notes.push(format!("new tokens are refused until `vouchsafe revoke lift {}`", revocation.id)),
        _ if revocation.token.is_none() => notes.push(
            "workloads can get new tokens at once: to contain an attack, revoke with --block or change the policy"
                .to_owned(),
        ),
        _ => {}
    }
    notes.push("APIs that verify tokens without asking the broker accept them until they expire".to_owned());
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const NOW: u64 = 1_800_000_000;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: RevokeArgs,
    }

    fn parse(line: &str) -> Result<RevokeArgs, String> {
        let words = ["revoke", "--broker", "https://b.example"].into_iter().chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.args).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check(line: &str, expected: &Value) {
        assert_eq!(body(&parse(line).unwrap(), NOW).unwrap(), *expected, "{line}");
    }

    #[test]
    fn sends_every_option() {
        check(
            "--issuer github --subject repo:a --audience https://a --bundle b1 --kid k1 --block --reason r --id i",
            &json!({
                "issuer": "github", "subject": "repo:a", "audience": "https://a", "bundle": "b1", "kid": "k1",
                "block": true, "reason": "r", "id": "i",
            }),
        );
        check(
            "--all --since 15m --until 2027-01-15T08:00:00Z --reason r --id i",
            &json!({ "all": true, "since": NOW - 900, "until": NOW, "reason": "r", "id": "i" }),
        );
        check("--token t --reason r --id i", &json!({ "token": "t", "reason": "r", "id": "i" }));
        check("--kid k1 --dry-run", &json!({ "kid": "k1", "dry_run": true }));
    }

    #[test]
    fn chooses_an_id() {
        let body = body(&parse("--kid k1 --reason r").unwrap(), NOW).unwrap();
        let id = body["id"].as_str().unwrap();
        assert!(id.starts_with("r-1800000000-") && id.len() == "r-1800000000-01234567".len(), "{id}");
    }

    #[test]
    fn requires_a_condition() {
        for line in ["--reason r", "--since 15m --reason r", "--block --reason r"] {
            let failure = body(&parse(line).unwrap(), NOW).unwrap_err();
            assert_eq!((failure.code, failure.message.as_str()), (2, "no condition: which tokens?"), "{line}");
        }
    }

    #[test]
    fn refuses_contradictory_options() {
        for line in [
            "--subject a --reason r",
            "--token t --kid k --reason r",
            "--token t --block --reason r",
            "--all --kid k --reason r",
            "--kid k --block --since 5m --reason r",
            "--kid k",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn says_what_a_revocation_does_not_do() {
        let of = |block, token: Option<&str>| {
            let token = token.map(str::to_owned);
            notes(&Revocation { id: "i".into(), block, token, ..Revocation::default() }).remove(0)
        };
        assert!(of(false, None).contains("--block"));
        assert_eq!(of(true, None), "new tokens are refused until `vouchsafe revoke lift i`");
        assert!(of(false, Some("t")).starts_with("APIs"));
    }
}

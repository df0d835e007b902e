//! `vouchsafe audit proof`.

use super::{note, site};
use crate::client::NetworkArgs;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_tlog::{Proof, leaf_hash};

/// Print the proof that a decision is in the log of a broker (C2SP tlog-proof).
///
/// The proof needs no broker to be checked later. The decision id is the `jti` of an issued token, and is in the answer to
/// a refused request.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 the decision is in the log, 1 it is not or the proof is wrong, 2 the command line is wrong, 3 the broker cannot be reached or no checkpoint covers the decision yet.

Examples:
  vouchsafe audit proof AAECAwQFBgcICQoLDA0ODw --broker https://broker.example --policy log-policy >decision.tlog-proof")]
pub struct Args {
    /// The decision id, which may begin with `-`.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    id: String,
    /// The broker's URL.
    #[arg(long, env = "VOUCHSAFE_BROKER", value_name = "URL")]
    broker: String,
    /// The keys of the log and its witnesses (C2SP tlog-policy).
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let policy = note::read_policy(&args.policy)?;
    if args.id.is_empty() || !args.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(Failure::usage(format!("`{}` is not a decision id", args.id)));
    }
    let text = site::text(&args.network.http()?, &args.broker, &format!("proof/{}", args.id))?;
    check(&text, &args.id, &policy)?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// Checks that the proof is one of this decision, under a key of the policy.
fn check(text: &str, id: &str, policy: &vouchsafe_tlog::Policy) -> Result<(), Failure> {
    let wrong = |why: String| Failure::refused(format!("the broker's proof of `{id}` is wrong: {why}"));
    let proof = Proof::parse(text).map_err(|error| wrong(error.to_string()))?;
    let checkpoint = note::of_log(&proof.note.to_string(), policy).map_err(wrong)?;
    if proof.extra.is_empty() {
        return Err(Failure::refused(format!("the record of `{id}` was deleted, so its leaf can't be recomputed")));
    }
    // Each field of an entry is preceded by its length, so the id can't be part of another field.
    let field = [u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes().as_slice(), id.as_bytes()].concat();
    if !proof.extra.windows(field.len()).any(|bytes| bytes == field) {
        return Err(wrong("it is of another decision".to_owned()));
    }
    match proof.includes(&leaf_hash(&proof.extra), &checkpoint) {
        true => Ok(()),
        false => Err(wrong("its hashes do not lead to the checkpoint's root".to_owned())),
    }
}
